"""Walking the ticks of a schedule, which an application may have written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.cron.steps import TickRange, latest, step, walk
from tests.core.plain_scheduler import EverySeconds
from tests.times import Listed, at, listed


class Answering:
    """A schedule that always returns the same answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def next_after(self, instant: datetime) -> Any:
        """Return the answer."""
        return self.answer


@pytest.mark.parametrize("answer", [at(60), at(59)], ids=["the same", "an earlier one"])
def test_step_rejects_moment_that_is_not_later(answer: datetime) -> None:
    """Following it would hang."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared
        step(Answering(answer), at(60))
    assert str(caught.value) == (
        f"next_after(2026-01-01T09:01:00+00:00) returned {answer.isoformat()}, which is not later"
    )


@pytest.mark.parametrize("answer", [at(60).replace(tzinfo=None), 60])
def test_step_rejects_other_answers(answer: Any) -> None:
    """A moment without a zone is none."""
    with pytest.raises(TypeError, match=r"^next_after returned .* and not an aware datetime$"):
        step(Answering(answer), at(0))


def test_step_returns_utc() -> None:
    """Even if the schedule's are not."""
    local = at(60).astimezone(timezone(timedelta(hours=5)))
    assert str(step(Answering(local), at(0))) == "2026-01-01 09:01:00+00:00"


def test_step_at_end_returns_none() -> None:
    """Then there is no step."""
    assert step(Answering(None), at(0)) is None


@given(listed(), st.data())
def test_latest_returns_latest_tick_up_to_moment(schedule: Listed, data: st.DataObject) -> None:
    """The moment itself may be one, and so may the tick that is known be the latest."""
    known = data.draw(st.sampled_from(schedule.ticks))
    until = data.draw(st.sampled_from(schedule.ticks)) + timedelta(seconds=data.draw(st.integers(0, 100)))
    until = max(known, until)
    assert latest(schedule, known, until) == max(tick for tick in schedule.ticks if tick <= until)


def test_latest_of_many_ticks_takes_few_steps() -> None:
    """Years of seconds are no trouble."""
    asked = 0

    class Counting(EverySeconds):
        def next_after(self, instant: datetime) -> datetime | None:
            nonlocal asked
            asked += 1
            return super().next_after(instant)

    assert latest(Counting(1), at(0), at(100_000_000.5)) == at(100_000_000)
    assert asked < 100


@given(listed(), st.data())
def test_walk_yields_range_with_both_ends(schedule: Listed, data: st.DataObject) -> None:
    """The first and the last tick are part of the range."""
    first = data.draw(st.integers(0, len(schedule.ticks) - 1))
    ticks = schedule.ticks[first : data.draw(st.integers(first + 1, len(schedule.ticks)))]
    row = TickRange(ticks[0], ticks[-1])
    assert tuple(walk(schedule, row)) == ticks
