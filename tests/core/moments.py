"""Moments of one morning, and a schedule that a test writes out."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

MORNING = datetime(2026, 1, 1, 9, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a moment that is so many seconds after nine."""
    return MORNING + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Listed:
    """A schedule whose ticks are listed, in ascending order."""

    ticks: tuple[datetime, ...]

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first of them after `instant`."""
        index = bisect_right(self.ticks, instant)
        return self.ticks[index] if index < len(self.ticks) else None


@st.composite
def listed(draw: st.DrawFn, most: int = 60) -> Listed:
    """Make a schedule of ticks at whole seconds: bursts, gaps, and anything between."""
    pattern = draw(st.lists(st.sampled_from([1, 2, 7, 30, 60, 61, 600, 5_000]), min_size=1, max_size=8))
    moments, second = list[datetime](), 0
    for index in range(draw(st.integers(1, most))):
        moments.append(at(second))
        second += pattern[index % len(pattern)]
    return Listed(tuple(moments))
