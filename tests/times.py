"""Short ways to write datetimes and to show ticks, and a schedule whose ticks a test lists."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from aioq_cron import CronExpression

__all__ = ["Listed", "at", "listed", "local", "naive", "runs", "shown", "utc"]

MORNING = datetime(2026, 1, 1, 9, tzinfo=UTC)


def naive(text: str) -> datetime:
    """Return an ISO time as a datetime without a time zone."""
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    """Return an ISO time as a datetime in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str, *, fold: int = 0) -> datetime:
    """Return an ISO time as a datetime in a time zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def at(seconds: float) -> datetime:
    """Return the datetime this many seconds after 09:00 UTC on 1 January 2026."""
    return MORNING + timedelta(seconds=seconds)


def runs(expression: str, zone: str, after: str, count: int) -> list[str]:
    """Return the next runs of an expression after a local time, as `shown` writes them."""
    schedule = CronExpression(expression, zone)
    return shown(islice(schedule.occurrences(local(after, zone)), count), zone)


def shown(moments: Iterable[datetime], zone: str) -> list[str]:
    """Return datetimes as local times of a zone, each in the form `2026-10-25 02:30 +01:00`."""
    return [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {_offset(moment, zone)}" for moment in moments]


def _offset(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).isoformat()[-6:]


@dataclass(frozen=True)
class Listed:
    """A schedule with a list of ticks, in ascending order."""

    ticks: tuple[datetime, ...]

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick after `instant`, or None after the last one."""
        index = bisect_right(self.ticks, instant)
        return self.ticks[index] if index < len(self.ticks) else None


@st.composite
def listed(draw: st.DrawFn, most: int = 60) -> Listed:
    """Draw a schedule of at most `most` ticks at whole seconds, with bursts and gaps."""
    pattern = draw(st.lists(st.sampled_from([1, 2, 7, 30, 60, 61, 600, 5_000]), min_size=1, max_size=8))
    ticks = list[datetime]()
    second = 0
    for index in range(draw(st.integers(1, most))):
        ticks.append(at(second))
        second += pattern[index % len(pattern)]
    return Listed(tuple(ticks))
