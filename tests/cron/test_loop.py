"""The loop that fires ticks, on clocks that behave and clocks that do not."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from math import nextafter
from time import process_time

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aioq.clock import SystemClock
from aioq.cron import Tick
from aioq.cron.schedule import Schedule
from aioq.testing import VirtualClock
from aioq_cron import CronExpression, CronScheduler, Every
from tests.cron.scripted_clock import ScriptedClock, Steps, block, entry, play, step, suspend
from tests.times import Listed, local, utc

NOON = utc("2026-01-01 12:00")
MINUTELY = CronExpression("* * * * *")
HOUR = 3_600.0


def at(*times: str, name: str = "entry") -> list[tuple[str, str]]:
    """What `play` returns for ticks on the first of January."""
    return [(name, f"01-01 {time}") for time in times]


async def test_the_first_tick_is_after_the_start() -> None:
    """A loop that starts on a tick waits for the next."""
    assert await play(ScriptedClock(NOON), entry(MINUTELY)) == at("12:01:00", "12:02:00")[:1]


async def test_a_tick_fires_at_its_moment() -> None:
    """The loop sleeps to the very moment of the head, and a second at most."""
    clock = ScriptedClock(utc("2026-01-01 11:59:57.250"), until=3)
    times: list[float] = []
    await play(clock, entry(MINUTELY), fire=lambda tick: times.append(clock.time()))
    assert times == [NOON.timestamp()]
    assert clock.asked == [1.0, 1.0, 0.75, 1.0]


async def test_entries_fire_in_the_order_of_their_ticks() -> None:
    """Of several entries the one that is due first fires first."""
    clock = ScriptedClock(NOON, until=10)
    assert await play(
        clock, entry(Every(timedelta(seconds=5)), "five"), entry(Every(timedelta(seconds=3)), "three")
    ) == [
        ("three", "01-01 12:00:03"),
        ("five", "01-01 12:00:05"),
        ("three", "01-01 12:00:06"),
        ("three", "01-01 12:00:09"),
    ]


@pytest.mark.parametrize("early", [1e-6, 0.001, 0.4])
async def test_a_sleep_that_ends_early_fires_nothing_early_or_twice(early: float) -> None:
    """The loop looks again after waking, and sleeps the rest."""
    clock = ScriptedClock(NOON, until=200, early=early)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "12:02:00", "12:03:00")


async def test_a_monotonic_clock_that_stands_still_changes_nothing() -> None:
    """Ticks go by the wall clock alone."""
    clock = ScriptedClock(NOON, until=130, still=True)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "12:02:00")


@pytest.mark.parametrize("hours", [1, 2.99])
async def test_a_small_step_back_fires_nothing_twice(hours: float, caplog: pytest.LogCaptureFixture) -> None:
    """After a step back of less than three hours entries wait until the clock has caught up."""
    caught_up = 150 + hours * HOUR
    clock = ScriptedClock(NOON, [step(150, -hours * HOUR)], until=caught_up + 100)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "12:02:00", "12:03:00", "12:04:00")
    assert f"the wall clock went back by {hours * HOUR:.0f} s: no tick fires again" in caplog.text


async def test_a_large_step_back_starts_afresh(caplog: pytest.LogCaptureFixture) -> None:
    """After a step back of more than three hours entries count from the new time, with a warning."""
    clock = ScriptedClock(NOON, [step(90, -4 * HOUR), step(160, 4 * HOUR)], until=200)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "08:02:00", "12:02:00", "12:03:00")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "went back by 14400 s: cron entries count from the new time" in caplog.text


async def test_small_steps_back_add_up() -> None:
    """Two steps back count as the one that they amount to."""
    clock = ScriptedClock(NOON, [step(70, -2 * HOUR), step(80, -2 * HOUR)], until=150)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "08:02:00")


async def test_an_entry_without_further_ticks_comes_back_with_the_clock() -> None:
    """A clock that was wrong by years for a while ends no entry for good."""
    clock = ScriptedClock(NOON, [step(70, 40 * 365 * 86_400), step(75, -40 * 365 * 86_400)], until=150)
    schedule = Listed(tuple(NOON + timedelta(minutes=minute) for minute in range(10)))
    fired = await play(clock, entry(schedule))
    assert fired == at("12:01:00", "12:09:00", "12:02:00")


@pytest.mark.parametrize("mishap", [step, suspend, block])
async def test_of_several_due_ticks_the_newest_fires_once(mishap: type) -> None:
    """After a step ahead, a suspend or a blocked loop an entry fires once, and goes on as before."""
    clock = ScriptedClock(NOON, [mishap(90, HOUR + 0.5)], until=120)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "13:01:00", "13:02:00")


@pytest.mark.parametrize("mishap", [step, suspend, block])
async def test_the_oldest_of_several_due_ticks_comes_along(mishap: type) -> None:
    """Whoever decides about those in between is told where they begin; a tick that came alone has no others."""
    clock = ScriptedClock(NOON, [mishap(90, HOUR + 0.5)], until=120)
    firsts: list[datetime | None] = []
    await play(clock, entry(MINUTELY), fire=lambda tick: firsts.append(tick.first))
    assert firsts == [None, NOON + timedelta(minutes=2), None]


async def test_entries_that_share_a_schedule_are_told_the_same() -> None:
    """All of them owe the same ticks."""
    clock = ScriptedClock(NOON, [step(10, HOUR)], until=20)
    ticks: list[Tick] = []
    await play(clock, entry(MINUTELY, "a"), entry(MINUTELY, "b"), fire=ticks.append)
    assert [(tick.entry.name, tick.first) for tick in ticks] == [(name, NOON + timedelta(minutes=1)) for name in "ab"]


async def test_decades_are_caught_up_with_in_a_few_steps() -> None:
    """A clock that starts in 1970 and is then set fires the very newest tick, at once."""
    clock = ScriptedClock(utc("1970-01-01 00:00:05"), [step(10, utc("2026-01-01 12:34:30").timestamp())], until=15)
    schedule = Steps(MINUTELY)
    assert await play(clock, entry(schedule)) == at("12:34:00")
    assert schedule.asked < 60


async def test_a_jump_ahead_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A step of the wall clock is one line in the log; ordinary sleeps and small corrections are none."""
    caplog.set_level(logging.INFO, "aioq.cron")
    clock = ScriptedClock(NOON, [step(30, 2), step(50, -2), step(90, HOUR)], until=120, early=0.01)
    await play(clock, entry(MINUTELY))
    assert [record.message for record in caplog.records] == [
        "the wall clock went ahead by 3600 s (set, or after a suspend): overdue ticks are due now"
    ]


class Broken:
    """A schedule that works until a moment, and then answers something else or raises."""

    def __init__(self, until: datetime, answer: object = None) -> None:
        self.until, self.answer = until, answer

    def next_after(self, instant: datetime) -> datetime:
        """Work, or not."""
        if instant < self.until:
            return self.until
        if self.answer is None:
            raise RuntimeError("no idea when")
        return self.answer  # type: ignore[return-value]


async def test_a_schedule_that_raises_disables_its_entry_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Others go on, and there is one line in the log, however long the loop runs."""
    fired = await play(ScriptedClock(NOON, until=130), entry(Broken(NOON), "broken"), entry(MINUTELY))
    assert fired == at("12:01:00", "12:02:00")
    assert [record.message for record in caplog.records] == [
        "cron entry broken is disabled: its schedule failed: no idea when"
    ]
    assert (caplog.records[0].name, caplog.records[0].levelname) == ("aioq.cron", "ERROR")


async def test_a_schedule_that_raises_later_fires_what_was_due(caplog: pytest.LogCaptureFixture) -> None:
    """A tick that was known before the schedule failed is not lost."""
    broken = entry(Broken(NOON + timedelta(seconds=5)), "broken")
    fired = await play(ScriptedClock(NOON, until=70), broken, entry(MINUTELY))
    assert fired == at("12:00:05", name="broken") + at("12:01:00")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NOON, "next_after(2026-01-01T12:00:00+00:00) returned 2026-01-01T12:00:00+00:00, which is not later"),
        (
            NOON.replace(tzinfo=None),
            "next_after returned datetime.datetime(2026, 1, 1, 12, 0) and not an aware datetime",
        ),
        (5, "next_after returned 5 and not an aware datetime"),
    ],
)
async def test_a_schedule_that_answers_nonsense_is_disabled(
    answer: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Moments that are not later, naive, or no moments at all cannot hang or end the loop."""
    fired = await play(ScriptedClock(NOON, until=70), entry(Broken(NOON, answer), "broken"), entry(MINUTELY))
    assert fired == at("12:01:00")
    assert caplog.records[0].message == f"cron entry broken is disabled: its schedule failed: {reason}"


async def test_a_disabled_entry_stays_disabled() -> None:
    """Starting afresh after a large step back does not ask a failed schedule again."""
    schedule = Steps(Broken(NOON))
    await play(ScriptedClock(NOON, [step(20, -4 * HOUR)], until=90), entry(schedule))
    assert schedule.asked == 1


async def test_an_entry_without_ticks_is_dropped() -> None:
    """A schedule that has come to its end leaves the others alone."""
    once = Listed((NOON + timedelta(seconds=5),))
    fired = await play(ScriptedClock(NOON, until=70), entry(once, "once"), entry(MINUTELY))
    assert fired == at("12:00:05", name="once") + at("12:01:00")


async def test_answers_in_other_zones_are_told_in_utc() -> None:
    """A third party's schedule may answer in any zone; ticks are in UTC."""
    tokyo = Listed((local("2026-01-01 21:00:05", "Asia/Tokyo"),))
    assert await play(ScriptedClock(NOON, until=10), entry(tokyo)) == at("12:00:05")


async def test_a_fire_that_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged with its entry; entries due with it and later ticks fire."""

    def fire(tick: Tick) -> None:
        if tick.entry.name == "angry":
            raise RuntimeError("no thanks")

    fired = await play(ScriptedClock(NOON, until=130), entry(MINUTELY, "angry"), entry(MINUTELY), fire=fire)
    assert fired == [(name, f"01-01 {time}") for time in ("12:01:00", "12:02:00") for name in ("angry", "entry")]
    assert [record.message for record in caplog.records] == ["cron entry angry could not be fired"] * 2
    assert "no thanks" in caplog.text


async def test_without_entries_it_waits_to_be_cancelled() -> None:
    """A loop with nothing to do sleeps."""
    clock = ScriptedClock(NOON, until=5)
    assert await play(clock) == []
    assert clock.asked == [1.0] * 5


@pytest.mark.parametrize("count", [0, 1])
async def test_cancelling_ends_it_at_once(count: int) -> None:
    """Cancellation goes through, with and without entries, on the system's clock."""
    with anyio.move_on_after(0.01) as scope:
        await CronScheduler().run([entry(MINUTELY)] * count, print, clock=SystemClock())
    assert scope.cancelled_caught


async def test_equal_schedules_are_asked_once() -> None:
    """A thousand entries of one schedule cost the steps of one."""
    schedule = Steps(MINUTELY)
    entries = [entry(schedule, f"e{number}") for number in range(1_000)]
    fired = await play(ScriptedClock(NOON, until=130), *entries)
    assert len(fired) == 2_000
    assert schedule.asked == 3


async def test_equal_expressions_are_one_schedule() -> None:
    """Entries parsed apart, in either way to name a zone, fire together and in their order."""
    schedules = [CronExpression("* * * * *", tz) for tz in ("Asia/Tokyo", None, "Asia/Tokyo")]
    fired = await play(ScriptedClock(NOON, until=70), *(entry(schedule, str(schedule.tz)) for schedule in schedules))
    assert [name for name, _ in fired] == ["Asia/Tokyo", "Asia/Tokyo", "UTC"]


async def test_schedules_need_no_hash() -> None:
    """A third party's schedule that is mutable and compares by value is fine."""

    @dataclass
    class Unhashable:
        schedule: Schedule

        def next_after(self, instant: datetime) -> datetime | None:
            return self.schedule.next_after(instant)

    schedules = [Unhashable(MINUTELY), Unhashable(Every(timedelta(seconds=40)))]
    fired = await play(ScriptedClock(NOON, until=70), *(entry(schedule) for schedule in schedules))
    assert fired == at("12:00:40", "12:01:00")


async def test_an_idle_wake_asks_nothing() -> None:
    """Looking up once a second costs the same with one entry and with many."""
    schedules = [Steps(CronExpression(f"{number} 3 * * *")) for number in range(50)]
    clock = ScriptedClock(NOON, until=600)
    await play(clock, *(entry(schedule) for schedule in schedules))
    assert clock.asked == [1.0] * 600
    assert {schedule.asked for schedule in schedules} == {1}


@pytest.mark.parametrize("schedules", [1, 10_000])
async def test_ten_thousand_entries_start_within_a_second(schedules: int) -> None:
    """A crowd that is due at one instant fires within a second, and lets others run meanwhile."""
    tick = NOON + timedelta(seconds=1)
    crowd = [entry(Every(timedelta(hours=1, seconds=number % schedules), start=tick)) for number in range(10_000)]
    clock = ScriptedClock(NOON, until=2)
    started: list[float] = []
    fired = await play(clock, *crowd, fire=lambda tick: started.append(process_time()))
    assert len(fired) == 10_000
    assert started[-1] - started[0] < 1
    assert clock.yields >= 100


async def test_a_crowd_lets_others_run() -> None:
    """While ten thousand entries fire, another task gets its turn again and again."""
    clock = VirtualClock(NOON.timestamp())
    fired: list[str] = []
    seen: list[int] = []

    async def look() -> None:
        while len(fired) < 10_000:
            seen.append(len(fired))
            await checkpoint()

    crowd = [entry(MINUTELY, f"e{number}") for number in range(10_000)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(CronScheduler().run, crowd, lambda tick: fired.append(tick.entry.name), clock=clock))
        await clock.settle()
        tasks.start_soon(look)
        clock.step(60)
        with anyio.fail_after(5):
            while len(fired) < 10_000:
                await clock.settle()
        tasks.cancel_scope.cancel()
    # Trio takes those who can run in any order, so the loop may have two turns in a row.
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 200


@pytest.mark.parametrize("schedules", [1, 20])
async def test_catching_up_lets_others_run(schedules: int) -> None:
    """After a jump the loop yields between entries, also of one schedule: what to do about each takes many steps."""
    clock = ScriptedClock(NOON, [step(5, 7 * 86_400)], until=8)
    await play(clock, *(entry(CronExpression(f"{minute % schedules} * * * *")) for minute in range(20)))
    assert clock.yields == 20


async def test_a_slow_fire_lets_others_run() -> None:
    """Though an entry is due again by the time it has fired, the loop yields before it fires again."""
    clock = ScriptedClock(NOON, until=5)
    yields: list[int] = []

    def fire(tick: Tick) -> None:
        yields.append(clock.yields)
        clock.lose(2.5 if len(yields) < 5 else 0)

    await play(clock, entry(Every(timedelta(seconds=1))), fire=fire)
    assert all(later > earlier for earlier, later in pairwise(yields[:5]))


async def test_a_start_just_before_a_tick_does_not_skip_it() -> None:
    """The wall clock is not rounded up to a moment that it has not shown."""
    clock = ScriptedClock(NOON, until=1)
    clock.lose(nextafter(NOON.timestamp(), 0) - NOON.timestamp())
    assert await play(clock, entry(MINUTELY)) == at("12:00:00")


async def test_time_far_from_the_epoch_is_exact() -> None:
    """Microseconds survive the way between the clock's floats and the schedule's datetimes."""
    tick = datetime(2026, 1, 1, 12, 0, 0, 123_457, tzinfo=UTC)
    clock = ScriptedClock(NOON, until=1, early=1e-7)
    seen: list[datetime] = []
    await play(clock, entry(Listed((tick,))), fire=lambda tick: seen.append(tick.scheduled_at))
    assert seen == [tick]
