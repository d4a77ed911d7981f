"""A plain interval as a schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aioq_cron.moments import in_utc

__all__ = ["Every"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST = timedelta(seconds=1)
_LONGEST = timedelta(days=3_653)
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))


@dataclass(frozen=True, slots=True)
class Every:
    """A tick every `interval`, whatever the calendar and the clocks on the wall do.

    Ticks are whole intervals away from `start`, which is the first of them, or else from the
    beginning of 1970 in UTC: so workers agree on them, and a restart does not move them.

    Args:
        interval: From 1 second, because a scheduler looks at its clock once a second, to
            10 years. Exact to the microsecond.
        start: The first tick.
    Raises:
        TypeError: `interval` is not a timedelta, or `start` is not a datetime.
        ValueError: `interval` is out of bounds, or `start` is naive.
    """

    interval: timedelta
    start: datetime | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check(self.interval)
        if self.start is not None:
            object.__setattr__(self, "start", in_utc(self.start))

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after `instant`, in UTC.

        None when there is none up to the end of the year 9999.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        moment, first = in_utc(instant), self.start or _EPOCH
        if moment < first:
            return first
        try:
            return first + ((moment - first) // self.interval + 1) * self.interval
        except OverflowError:
            return None

    def __str__(self) -> str:
        since = "" if self.start is None else f" from {self.start.isoformat()}"
        return f"every {_in_words(self.interval)}{since}"


def _check(interval: object) -> None:
    if not isinstance(interval, timedelta):
        raise TypeError(f"interval is a timedelta such as timedelta(minutes=5), got {interval!r}")
    if not _SHORTEST <= interval <= _LONGEST:
        raise ValueError(f"interval must be from 1 second to 10 years, got {interval!r}")


def _in_words(interval: timedelta) -> str:
    words = ""
    for unit, length in _UNITS:
        count, interval = divmod(interval, length)
        words += f"{count}{unit}" if count else ""
    seconds = f"{interval.seconds}.{interval.microseconds:06}".rstrip("0").rstrip(".") if interval else ""
    return f"{words}{seconds}s" if seconds else words
