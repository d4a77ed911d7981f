"""The loop against a model of it, on clocks on which anything may happen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.cron import Tick, upcoming
from aioq.cron.schedule import Schedule
from aioq.cron.steps import around
from aioq_cron import CronExpression, Every
from tests.cron.scripted_clock import Mishap, ScriptedClock, Steps, block, entry, play, step
from tests.times import Listed, naive, utc

START = utc("2026-03-28 22:00")
SCHEDULES = st.one_of(
    st.builds(Every, st.integers(1, 900).map(lambda seconds: timedelta(seconds=seconds))),
    st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "@hourly"]).map(
        lambda text: CronExpression(text, "Europe/Berlin")
    ),
)
SECONDS = st.floats(0.1, 20) | st.floats(600, 4 * 3_600)
TIMES = st.floats(0, 60)
MISHAPS = st.one_of(
    st.builds(step, TIMES, SECONDS),
    st.builds(step, TIMES, SECONDS.map(lambda seconds: -seconds)),
    st.builds(block, TIMES, SECONDS),
)


@given(
    st.lists(SCHEDULES, max_size=4), st.lists(MISHAPS, max_size=6), st.sampled_from([0.0, 0.001, 0.3]), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_the_loop_does_what_the_model_says(
    schedules: list[Schedule], mishaps: list[Mishap], early: float, still: bool
) -> None:
    """Whatever the clocks do, an entry fires the newest tick since its last one, at every look."""
    clock = ScriptedClock(START, mishaps, until=90, early=early, still=still)
    entries = [entry(schedule, f"e{number}") for number, schedule in enumerate(schedules)]
    fired: list[Tick] = []
    anyio.run(partial(play, clock, *entries, fire=fired.append))
    for one in entries:
        ticks = [(tick.scheduled_at, tick.first) for tick in fired if tick.entry is one]
        assert ticks == list(model(one.schedule, clock.looks))


def ticks_up_to(look: float, schedule: Schedule, mark: datetime) -> list[datetime]:
    """All ticks after a mark that are due at a look."""
    return list(takewhile(lambda tick: tick.timestamp() <= look, upcoming(schedule, mark)))


def model(schedule: Schedule, looks: list[float]) -> Iterator[tuple[datetime, datetime | None]]:
    """What an entry fires, given the wall time at each look: the newest due tick, and the oldest if it is another."""
    mark, latest = START, START.timestamp()
    for look in looks:
        now = datetime.fromtimestamp(look, UTC)
        if latest - look > 3 * 3_600:
            mark, latest = now, look
        latest = max(latest, look)
        if due := ticks_up_to(look, schedule, mark):
            mark = due[-1]
            yield due[-1], due[0] if len(due) > 1 else None


@given(st.sets(st.datetimes(naive("1970-01-01"), naive("2030-01-01"), timezones=st.just(UTC)), min_size=1), st.data())
@settings(deadline=None)
def test_the_newest_due_tick_is_exact(moments: set[datetime], data: st.DataObject) -> None:
    """Of ticks however spread, the last up to now is found, with the one after it, in few steps."""
    spread = Listed(tuple(sorted(moments)))
    schedule = Steps(spread)
    first = data.draw(st.sampled_from(spread.ticks))
    now = data.draw(
        st.datetimes(first.replace(tzinfo=None), naive("2031-01-01"), timezones=st.just(UTC))
        | st.sampled_from(spread.ticks)
    )
    newest, following = around(schedule, first, now)
    assert newest == max([moment for moment in moments if first <= moment <= now], default=first)
    assert following == min([moment for moment in moments if moment > newest], default=None)
    assert schedule.asked <= 120
