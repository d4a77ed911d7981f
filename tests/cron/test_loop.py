"""The loop that fires ticks, on correct and on faulty clocks."""

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
    """Return what `play` returns for ticks on the first of January."""
    return [(name, f"01-01 {time}") for time in times]


async def test_loop_first_tick_is_after_the_start() -> None:
    """A loop that starts on a tick waits for the next one."""
    assert await play(ScriptedClock(NOON), entry(MINUTELY)) == at("12:01:00", "12:02:00")[:1]


async def test_loop_fires_at_the_tick() -> None:
    """The loop sleeps until the next tick, in sleeps of at most one second."""
    clock = ScriptedClock(utc("2026-01-01 11:59:57.250"), until=3)
    times: list[float] = []
    await play(clock, entry(MINUTELY), fire=lambda tick: times.append(clock.time()))
    assert times == [NOON.timestamp()]
    assert clock.asked == [1.0, 1.0, 0.75, 1.0]


async def test_loop_fires_entries_in_tick_order() -> None:
    """The entry with the earliest tick fires first."""
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
async def test_loop_early_wake_fires_nothing_early_or_twice(early: float) -> None:
    """After an early wake the loop looks at the clock and sleeps for the rest."""
    clock = ScriptedClock(NOON, until=200, early=early)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "12:02:00", "12:03:00")


async def test_loop_ignores_a_stopped_monotonic_clock() -> None:
    """Ticks depend on the wall clock alone."""
    clock = ScriptedClock(NOON, until=130, still=True)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "12:02:00")


@pytest.mark.parametrize("hours", [1, 2.99])
async def test_loop_small_step_back_fires_nothing_twice(hours: float, caplog: pytest.LogCaptureFixture) -> None:
    """After a step back of less than three hours, entries wait until the clock has caught up."""
    caught_up = 150 + hours * HOUR
    clock = ScriptedClock(NOON, [step(150, -hours * HOUR)], until=caught_up + 100)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "12:02:00", "12:03:00", "12:04:00")
    assert f"the wall clock went back by {hours * HOUR:.0f} s: no tick fires again" in caplog.text


async def test_loop_large_step_back_counts_from_new_time(caplog: pytest.LogCaptureFixture) -> None:
    """After a step back of more than three hours, entries count from the new time, and the loop logs a warning."""
    clock = ScriptedClock(NOON, [step(90, -4 * HOUR), step(160, 4 * HOUR)], until=200)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "08:02:00", "12:02:00", "12:03:00")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "went back by 14400 s: cron entries count from the new time" in caplog.text


async def test_loop_small_steps_back_add_up() -> None:
    """Two small steps back that exceed three hours together count as one large step."""
    clock = ScriptedClock(NOON, [step(70, -2 * HOUR), step(80, -2 * HOUR)], until=150)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "08:02:00")


async def test_loop_ended_entry_resumes_after_clock_step() -> None:
    """An entry that ran out of ticks on a clock years ahead fires again after the clock is corrected."""
    clock = ScriptedClock(NOON, [step(70, 40 * 365 * 86_400), step(75, -40 * 365 * 86_400)], until=150)
    schedule = Listed(tuple(NOON + timedelta(minutes=minute) for minute in range(10)))
    fired = await play(clock, entry(schedule))
    assert fired == at("12:01:00", "12:09:00", "12:02:00")


@pytest.mark.parametrize("jump", [step, suspend, block])
async def test_loop_fires_newest_of_several_due_ticks(jump: type) -> None:
    """After a step ahead, a suspend or a blocked loop, an entry fires once and goes on as before."""
    clock = ScriptedClock(NOON, [jump(90, HOUR + 0.5)], until=120)
    assert await play(clock, entry(MINUTELY)) == at("12:01:00", "13:01:00", "13:02:00")


@pytest.mark.parametrize("jump", [step, suspend, block])
async def test_loop_passes_oldest_of_several_due_ticks(jump: type) -> None:
    """The fired tick carries the oldest due tick if it stands for several, and None otherwise."""
    clock = ScriptedClock(NOON, [jump(90, HOUR + 0.5)], until=120)
    firsts: list[datetime | None] = []
    await play(clock, entry(MINUTELY), fire=lambda tick: firsts.append(tick.first))
    assert firsts == [None, NOON + timedelta(minutes=2), None]


async def test_loop_shared_schedule_gives_same_due_ticks() -> None:
    """Entries with one schedule fire the same tick with the same oldest due tick."""
    clock = ScriptedClock(NOON, [step(10, HOUR)], until=20)
    ticks: list[Tick] = []
    await play(clock, entry(MINUTELY, "a"), entry(MINUTELY, "b"), fire=ticks.append)
    assert [(tick.entry.name, tick.first) for tick in ticks] == [(name, NOON + timedelta(minutes=1)) for name in "ab"]


async def test_loop_catches_up_decades_in_few_steps() -> None:
    """A clock that starts in 1970 and is then set fires the newest tick at once."""
    clock = ScriptedClock(utc("1970-01-01 00:00:05"), [step(10, utc("2026-01-01 12:34:30").timestamp())], until=15)
    schedule = Steps(MINUTELY)
    assert await play(clock, entry(schedule)) == at("12:34:00")
    assert schedule.asked < 60


async def test_loop_jump_ahead_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A step ahead is one line in the log; ordinary sleeps and small corrections are not logged."""
    caplog.set_level(logging.INFO, "aioq.cron")
    clock = ScriptedClock(NOON, [step(30, 2), step(50, -2), step(90, HOUR)], until=120, early=0.01)
    await play(clock, entry(MINUTELY))
    assert [record.message for record in caplog.records] == [
        "the wall clock went ahead by 3600 s (set, or after a suspend): overdue ticks are due now"
    ]


class Broken:
    """A schedule that works until a moment, and then raises or returns a wrong value."""

    def __init__(self, until: datetime, answer: object = None) -> None:
        self.until = until
        self.answer = answer

    def next_after(self, instant: datetime) -> datetime:
        """Return the moment, or fail after it."""
        if instant < self.until:
            return self.until
        if self.answer is None:
            raise RuntimeError("no idea when")
        return self.answer  # type: ignore[return-value]


async def test_loop_schedule_error_disables_only_its_entry(caplog: pytest.LogCaptureFixture) -> None:
    """Other entries go on, and the loop logs the error once, however long it runs."""
    fired = await play(ScriptedClock(NOON, until=130), entry(Broken(NOON), "broken"), entry(MINUTELY))
    assert fired == at("12:01:00", "12:02:00")
    assert [record.message for record in caplog.records] == [
        "cron entry broken is disabled: its schedule failed: no idea when"
    ]
    assert (caplog.records[0].name, caplog.records[0].levelname) == ("aioq.cron", "ERROR")


async def test_loop_schedule_error_keeps_known_tick(caplog: pytest.LogCaptureFixture) -> None:
    """A tick that was known before the schedule failed fires."""
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
async def test_loop_invalid_tick_disables_entry(answer: object, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """A tick that is not later, that is naive or that is no datetime cannot hang or end the loop."""
    fired = await play(ScriptedClock(NOON, until=70), entry(Broken(NOON, answer), "broken"), entry(MINUTELY))
    assert fired == at("12:01:00")
    assert caplog.records[0].message == f"cron entry broken is disabled: its schedule failed: {reason}"


async def test_loop_disabled_entry_stays_disabled() -> None:
    """The loop does not call a failed schedule again, not even after a large step back."""
    schedule = Steps(Broken(NOON))
    await play(ScriptedClock(NOON, [step(20, -4 * HOUR)], until=90), entry(schedule))
    assert schedule.asked == 1


async def test_loop_entry_without_ticks_leaves_others() -> None:
    """A schedule without further ticks does not affect other entries."""
    once = Listed((NOON + timedelta(seconds=5),))
    fired = await play(ScriptedClock(NOON, until=70), entry(once, "once"), entry(MINUTELY))
    assert fired == at("12:00:05", name="once") + at("12:01:00")


async def test_loop_converts_ticks_to_utc() -> None:
    """A third party's schedule may return any zone; fired ticks are in UTC."""
    tokyo = Listed((local("2026-01-01 21:00:05", "Asia/Tokyo"),))
    assert await play(ScriptedClock(NOON, until=10), entry(tokyo)) == at("12:00:05")


async def test_loop_schedule_without_further_ticks_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning for each entry, also after a clock that was set back has made the loop compute all entries again."""
    once, over = Listed((NOON + timedelta(seconds=5),)), Listed(())
    clock = ScriptedClock(NOON, [step(10, -4 * HOUR)], until=20)
    await play(clock, entry(once, "once"), entry(over, "over"), entry(over, "too"))
    ended = [record for record in caplog.records if getattr(record, "event", "") == "cron_ended"]
    assert [record.message for record in ended] == [
        f"cron entry {name} has ended: its schedule has no further ticks" for name in ("over", "too", "once")
    ]
    assert {record.levelname for record in ended} == {"WARNING"}


async def test_loop_fire_error_is_logged_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """An error of `fire` is logged with its entry; other entries and later ticks fire."""

    def fire(tick: Tick) -> None:
        if tick.entry.name == "failing":
            raise RuntimeError("connection refused")

    fired = await play(ScriptedClock(NOON, until=130), entry(MINUTELY, "failing"), entry(MINUTELY), fire=fire)
    assert fired == [(name, f"01-01 {time}") for time in ("12:01:00", "12:02:00") for name in ("failing", "entry")]
    assert [record.message for record in caplog.records] == ["cron entry failing could not be fired"] * 2
    assert "connection refused" in caplog.text


async def test_loop_without_entries_sleeps() -> None:
    """A loop without entries sleeps until it is cancelled."""
    clock = ScriptedClock(NOON, until=5)
    assert await play(clock) == []
    assert clock.asked == [1.0] * 5


@pytest.mark.parametrize("count", [0, 1])
async def test_loop_cancellation_ends_it(count: int) -> None:
    """Cancellation ends the loop, with and without entries, on the system's clock."""
    with anyio.move_on_after(0.01) as scope:
        await CronScheduler().run([entry(MINUTELY)] * count, print, clock=SystemClock())
    assert scope.cancelled_caught


async def test_loop_asks_equal_schedules_once() -> None:
    """A thousand entries with one schedule cost the steps of one."""
    schedule = Steps(MINUTELY)
    entries = [entry(schedule, f"e{number}") for number in range(1_000)]
    fired = await play(ScriptedClock(NOON, until=130), *entries)
    assert len(fired) == 2_000
    assert schedule.asked == 3


async def test_loop_groups_equal_expressions() -> None:
    """Entries with equal expressions fire together and in their order, however their zone was given."""
    schedules = [CronExpression("* * * * *", tz) for tz in ("Asia/Tokyo", None, "Asia/Tokyo")]
    fired = await play(ScriptedClock(NOON, until=70), *(entry(schedule, str(schedule.tz)) for schedule in schedules))
    assert [name for name, _ in fired] == ["Asia/Tokyo", "Asia/Tokyo", "UTC"]


async def test_loop_accepts_unhashable_schedules() -> None:
    """A third party's schedule may be mutable and compare by value."""

    @dataclass
    class Unhashable:
        schedule: Schedule

        def next_after(self, instant: datetime) -> datetime | None:
            return self.schedule.next_after(instant)

    schedules = [Unhashable(MINUTELY), Unhashable(Every(timedelta(seconds=40)))]
    fired = await play(ScriptedClock(NOON, until=70), *(entry(schedule) for schedule in schedules))
    assert fired == at("12:00:40", "12:01:00")


async def test_loop_idle_wake_calls_no_schedule() -> None:
    """A wake without a due tick costs the same with one entry and with many."""
    schedules = [Steps(CronExpression(f"{number} 3 * * *")) for number in range(50)]
    clock = ScriptedClock(NOON, until=600)
    await play(clock, *(entry(schedule) for schedule in schedules))
    assert clock.asked == [1.0] * 600
    assert {schedule.asked for schedule in schedules} == {1}


@pytest.mark.parametrize("schedules", [1, 10_000])
async def test_loop_fires_10000_entries_within_a_second(schedules: int) -> None:
    """Ten thousand entries due at once fire within a second of processor time, and the loop yields meanwhile."""
    tick = NOON + timedelta(seconds=1)
    crowd = [entry(Every(timedelta(hours=1, seconds=number % schedules), start=tick)) for number in range(10_000)]
    clock = ScriptedClock(NOON, until=2)
    started: list[float] = []
    fired = await play(clock, *crowd, fire=lambda tick: started.append(process_time()))
    assert len(fired) == 10_000
    assert started[-1] - started[0] < 1
    assert clock.yields >= 100


async def test_loop_yields_while_10000_entries_fire() -> None:
    """While ten thousand entries fire, another task runs again and again."""
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
    # Trio runs ready tasks in any order, so the loop may have two turns in a row.
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 200


@pytest.mark.parametrize("schedules", [1, 20])
async def test_loop_yields_between_entries_after_a_jump(schedules: int) -> None:
    """After a jump the loop yields between entries, also between those of one schedule."""
    clock = ScriptedClock(NOON, [step(5, 7 * 86_400)], until=8)
    await play(clock, *(entry(CronExpression(f"{minute % schedules} * * * *")) for minute in range(20)))
    assert clock.yields == 20


async def test_loop_yields_when_fire_is_slow() -> None:
    """The loop yields between two fires of an entry, even if the entry is due again when `fire` returns."""
    clock = ScriptedClock(NOON, until=5)
    yields: list[int] = []

    def fire(tick: Tick) -> None:
        yields.append(clock.yields)
        clock.lose(2.5 if len(yields) < 5 else 0)

    await play(clock, entry(Every(timedelta(seconds=1))), fire=fire)
    assert all(later > earlier for earlier, later in pairwise(yields[:5]))


async def test_loop_start_just_before_a_tick_fires_it() -> None:
    """The loop does not round its start up to a moment that the clock has not shown."""
    clock = ScriptedClock(NOON, until=1)
    clock.lose(nextafter(NOON.timestamp(), 0) - NOON.timestamp())
    assert await play(clock, entry(MINUTELY)) == at("12:00:00")


async def test_loop_keeps_microseconds() -> None:
    """Microseconds survive the conversion between the clock's floats and the schedule's datetimes."""
    tick = datetime(2026, 1, 1, 12, 0, 0, 123_457, tzinfo=UTC)
    clock = ScriptedClock(NOON, until=1, early=1e-7)
    seen: list[datetime] = []
    await play(clock, entry(Listed((tick,))), fire=lambda tick: seen.append(tick.scheduled_at))
    assert seen == [tick]
