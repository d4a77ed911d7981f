"""When something happens: values that can be asked for the next time, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

__all__ = ["EPOCH", "Daily", "Interval"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Interval:
    """A tick every `step`, counted from 1970, so that all workers agree on the moments."""

    step: timedelta

    def next_after(self, instant: datetime) -> datetime:
        """Return the first whole multiple of the step after `instant`."""
        return EPOCH + ((instant - EPOCH) // self.step + 1) * self.step


@dataclass(frozen=True)
class Daily:
    """A tick a day, at a time on the wall of some zone.

    When daylight saving skips that time, the tick comes as much later as was skipped. When
    the time comes round twice, the first counts.
    """

    at: time
    zone: tzinfo

    def next_after(self, instant: datetime) -> datetime:
        """Return the first such time after `instant`, in UTC."""
        day = instant.astimezone(self.zone).date() - DAY
        while (tick := datetime.combine(day, self.at, self.zone).astimezone(UTC)) <= instant:
            day += DAY
        return tick
