"""The loop compared with a model of it, on clocks that jump."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.cron import Tick
from aioq.cron.schedule import Schedule
from aioq.cron.steps import around
from aioq_cron import CronExpression, Every
from tests.cron.scripted_clock import ClockJump, ScriptedClock, Steps, block, entry, play, step
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
JUMPS = st.one_of(
    st.builds(step, TIMES, SECONDS),
    st.builds(step, TIMES, SECONDS.map(lambda seconds: -seconds)),
    st.builds(block, TIMES, SECONDS),
)


@given(st.lists(SCHEDULES, max_size=4), st.lists(JUMPS, max_size=6), st.sampled_from([0.0, 0.001, 0.3]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_loop_fires_as_the_model_on_any_clock(
    schedules: list[Schedule], jumps: list[ClockJump], early: float, still: bool
) -> None:
    """Whatever the clocks do, an entry fires the newest tick since its last one, at every look at the clock."""
    clock = ScriptedClock(START, jumps, until=90, early=early, still=still)
    entries = [entry(schedule, f"e{number}") for number, schedule in enumerate(schedules)]
    fired: list[Tick] = []
    anyio.run(partial(play, clock, *entries, fire=fired.append))
    for one in entries:
        ticks = [(tick.scheduled_at, tick.first) for tick in fired if tick.entry is one]
        assert ticks == list(model(one.schedule, clock.looks))


def ticks_up_to(look: float, schedule: Schedule, last_tick: datetime) -> list[datetime]:
    """Return all ticks after the last tick that are due at a look."""
    ticks: list[datetime] = []
    while (tick := schedule.next_after(last_tick)) is not None and tick.timestamp() <= look:
        ticks.append(tick)
        last_tick = tick
    return ticks


def model(schedule: Schedule, looks: list[float]) -> Iterator[tuple[datetime, datetime | None]]:
    """Yield what an entry fires at each look: the newest due tick, and the oldest one if it is another."""
    last_tick = START
    latest = START.timestamp()
    for look in looks:
        now = datetime.fromtimestamp(look, UTC)
        if latest - look > 3 * 3_600:
            last_tick = now
            latest = look
        latest = max(latest, look)
        if due := ticks_up_to(look, schedule, last_tick):
            last_tick = due[-1]
            yield due[-1], due[0] if len(due) > 1 else None


@given(st.sets(st.datetimes(naive("1970-01-01"), naive("2030-01-01"), timezones=st.just(UTC)), min_size=1), st.data())
@settings(deadline=None)
def test_around_finds_newest_due_tick_in_few_steps(moments: set[datetime], data: st.DataObject) -> None:
    """For any list of ticks, `around` finds the last one up to now and the next one in few steps."""
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
