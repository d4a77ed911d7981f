"""`bounded` limits a schedule to the time between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.cron import ClockChange, upcoming
from aioq.cron.bounds import bounded
from aioq.cron.schedule import ExplainedSchedule, Schedule
from tests.times import Listed, at, listed

BERLIN = ZoneInfo("Europe/Berlin")
BEFORE = at(-1)
bounds = st.one_of(st.none(), st.integers(-100, 10_000))


@dataclass(frozen=True)
class Told(Listed):
    """A schedule that says itself in words, and whose clocks are put back at each of its ticks."""

    tz: ZoneInfo = BERLIN

    def in_words(self) -> str:
        return "now and then"

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        return [change(tick) for tick in self.ticks if start <= tick < end]

    def __str__(self) -> str:
        return "told"


def change(moment: datetime) -> ClockChange:
    """Return a change of clocks."""
    wall = moment.replace(tzinfo=None)
    return ClockChange(at=moment, kind="repeat", start=wall, end=wall, touches=True, runs=(moment,), effect="")


@given(listed(), bounds, bounds)
def test_bounded_has_ticks_within_bounds(schedule: Listed, start: int | None, end: int | None) -> None:
    """Both bounds may be ticks, and either may be left out."""
    first, last = (None if bound is None else at(bound) for bound in (start, end))
    within = [tick for tick in schedule.ticks if (not first or tick >= first) and (not last or tick <= last)]
    assert upcoming(bounded(schedule, first, last), BEFORE, 100) == within


def test_bounded_asks_schedule_in_utc() -> None:
    """The schedule gets UTC whatever the zone of the bound is."""
    asked = list[datetime]()

    class Asked(Listed):
        def next_after(self, instant: datetime) -> datetime | None:
            asked.append(instant)
            return super().next_after(instant)

    tokyo = at(0).astimezone(ZoneInfo("Asia/Tokyo"))
    assert bounded(Asked((at(0),)), tokyo, None).next_after(BEFORE) == at(0)
    assert [moment.tzinfo for moment in asked] == [UTC]


def test_bounded_has_text_of_schedule() -> None:
    """As the schedule does, and it knows the zone if the schedule has one."""
    schedule = bounded(Told(()), at(0), None)
    assert str(schedule) == "told"
    assert getattr(schedule, "tz", None) == BERLIN
    assert getattr(bounded(Listed(()), at(0), None), "tz", None) is None


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (at(0), None, "now and then, from 2026-01-01 09:00+00:00"),
        (None, at(61), "now and then, until 2026-01-01 09:01:01+00:00"),
        (at(0), at(60), "now and then, from 2026-01-01 09:00+00:00, until 2026-01-01 09:01+00:00"),
    ],
)
def test_bounded_in_words_has_bounds(start: datetime | None, end: datetime | None, words: str) -> None:
    """After those of the schedule."""
    schedule = bounded(Told(()), start, end)
    assert isinstance(schedule, ExplainedSchedule)
    assert schedule.in_words() == words


def test_bounded_clock_changes_are_within_bounds() -> None:
    """Before and after them the schedule has nothing to do."""
    schedule = bounded(Told((at(0), at(60), at(120))), at(1), at(60) + timedelta(seconds=1))
    assert isinstance(schedule, ExplainedSchedule)
    assert schedule.clock_changes(BEFORE, at(3_600)) == [change(at(60))]
    assert schedule.clock_changes(at(3_600), at(7_200)) == []


def test_bounded_plain_schedule_is_not_explained() -> None:
    """`isinstance` with the protocol tells whether the schedule can explain itself."""
    schedule = bounded(Listed(()), at(0), None)
    assert isinstance(schedule, Schedule)
    assert not isinstance(schedule, ExplainedSchedule)


def test_bounded_half_explained_schedule_is_not_explained() -> None:
    """Words alone do not say what clock changes do."""

    class Worded(Listed):
        def in_words(self) -> str:
            raise AssertionError

    assert not isinstance(bounded(Worded(()), at(0), None), ExplainedSchedule)


def test_bounded_equals_same_schedule_and_bounds() -> None:
    """So what was computed for one may serve the other."""
    one, other = (bounded(Told((at(0),)), at(0), at(60)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != bounded(Told((at(0),)), at(0), None)
