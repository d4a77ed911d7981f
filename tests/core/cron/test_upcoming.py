"""The next moments of a schedule."""

from __future__ import annotations

from aioq.cron import upcoming
from tests.times import Listed, at


def test_upcoming_returns_count_moments_after_start() -> None:
    """The start does not belong to them."""
    assert upcoming(Listed((at(1), at(2), at(3), at(4))), at(1), 2) == [at(2), at(3)]


def test_upcoming_ends_with_the_schedule() -> None:
    """A schedule that ends has fewer moments than were asked for."""
    assert upcoming(Listed((at(1), at(2))), at(0), 5) == [at(1), at(2)]


def test_upcoming_until_includes_the_limit() -> None:
    """The last moment may be the limit itself."""
    assert upcoming(Listed((at(1), at(2), at(3))), at(0), 5, until=at(2)) == [at(1), at(2)]
