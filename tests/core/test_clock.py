"""Clocks, and waiting by them."""

from __future__ import annotations

import time

import anyio
import pytest

from aioq.clock import MAX_SLEEP, PRECISION, Clock, SteadyClock, SystemClock, pass_time, wait_until
from aioq.testing import VirtualClock
from tests.core.rig import settle_down


class Hasty(VirtualClock):
    """A clock whose sleeps wake early."""

    async def sleep(self, seconds: float) -> None:
        """Sleep half as long."""
        await super().sleep(seconds / 2 if seconds > 0.001 else seconds)


async def test_the_system_clock_is_the_hosts() -> None:
    """Wall time, monotonic time, and a sleep that is no shorter for being negative."""
    clock = SystemClock()
    assert isinstance(clock, Clock)
    assert abs(clock.time() - time.time()) < 5
    before = clock.monotonic()
    await clock.sleep(-1)
    await clock.sleep(0.001)
    assert clock.monotonic() > before


def test_a_steady_clock_does_not_step(clock: VirtualClock) -> None:
    """It reads the wall once and goes on with monotonic time."""
    steady = SteadyClock(clock, offset=10)
    start = steady.time()
    clock.step(3600)
    assert steady.time() == start == clock.time() - 3600 + 10
    clock.suspend(5)
    assert steady.time() == start + 5
    assert steady.monotonic() == clock.monotonic() == 5


async def test_a_steady_clock_can_be_set(clock: VirtualClock) -> None:
    """It follows a clock that showed something else a moment ago."""
    steady = SteadyClock(clock)
    steady.set(1000.0)
    await clock.advance(2)
    assert steady.time() == 1002.0


def test_a_steady_clock_follows_the_system_by_default() -> None:
    """Without a source the host's clocks are measured."""
    assert abs(SteadyClock().time() - time.time()) < 5


async def test_pass_time_is_never_short() -> None:
    """A clock that wakes early is asked again."""
    clock = Hasty()
    async with anyio.create_task_group() as tg:
        tg.start_soon(clock.advance, 10)
        await pass_time(clock, 10)
        assert clock.monotonic() >= 10


async def test_wait_until_the_event(clock: VirtualClock) -> None:
    """An event that comes in time ends the wait."""
    event = anyio.Event()
    async with anyio.create_task_group() as tg:

        async def wait() -> None:
            assert await wait_until(event, clock, 10) is True
            assert clock.monotonic() == 3

        tg.start_soon(wait)
        await clock.advance(3)
        event.set()


async def test_wait_until_the_time(clock: VirtualClock) -> None:
    """Without the event the wait ends with its time; with no time it does not begin."""
    event = anyio.Event()
    async with anyio.create_task_group() as tg:
        tg.start_soon(clock.advance, 10)
        assert await wait_until(event, clock, 10) is False
    assert await wait_until(event, clock, 0) is False
    event.set()
    assert await wait_until(event, clock, -1) is True


# The virtual clock


async def test_virtual_time_stands_still(clock: VirtualClock) -> None:
    """It moves when the test says so, and by how much."""
    start = clock.time()
    await settle_down()
    assert (clock.time(), clock.monotonic()) == (start, 0)
    await clock.advance(7.5)
    assert (clock.time(), clock.monotonic()) == (start + 7.5, 7.5)
    clock.step(-100)
    assert (clock.time(), clock.monotonic()) == (start - 92.5, 7.5)
    clock.suspend(1)
    assert (clock.time(), clock.monotonic()) == (start - 91.5, 8.5)


async def test_sleepers_wake_in_order_at_their_moment(clock: VirtualClock) -> None:
    """Each sees its own time, and may sleep again within the same advance."""
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    async with anyio.create_task_group() as tg:
        tg.start_soon(sleep, "a", 3, 3)
        tg.start_soon(sleep, "b", 1, 4)
        await clock.advance(5)
        assert woken == [("b", 1), ("a", 3), ("b", 5)]
        await clock.advance(1)
    assert woken[3:] == [("a", 6)]


async def test_a_sleep_of_nothing_lets_others_run(clock: VirtualClock) -> None:
    """Zero and negative sleeps do not wait for time to pass."""
    with anyio.fail_after(1):
        await clock.sleep(0)
        await clock.sleep(-5)


async def test_cancelled_sleepers_are_forgotten(clock: VirtualClock) -> None:
    """Thousands of abandoned waits cost nothing, and no memory."""
    async with anyio.create_task_group() as tg:
        for n in range(2000):
            tg.start_soon(clock.sleep, 10 + n)
        await settle_down()
        tg.cancel_scope.cancel()
    await clock.advance(1)
    assert not clock._sleepers  # pyright: ignore[reportPrivateUsage]
    assert clock.monotonic() == 1


async def test_a_suspend_wakes_nobody_by_itself(clock: VirtualClock) -> None:
    """Sleepers find out afterwards that they are late."""
    woken: list[float] = []

    async def sleep() -> None:
        await clock.sleep(5)
        woken.append(clock.monotonic())

    async with anyio.create_task_group() as tg:
        tg.start_soon(sleep)
        await settle_down()
        clock.suspend(60)
        await settle_down()
        assert woken == []
        await clock.advance(0)
    assert woken == [60]


async def test_sleepers_until_a_moment_wake_at_it(clock: VirtualClock) -> None:
    """In order with those who sleep for a while, however the moment is written as a float."""
    start, woken = clock.time(), list[tuple[str, float]]()

    async def sleep(name: str, moment: float) -> None:
        while clock.time() < moment:
            await clock.sleep_until(moment)
        woken.append((name, clock.monotonic()))

    async with anyio.create_task_group() as tg:
        tg.start_soon(sleep, "b", start + 1.3)
        tg.start_soon(sleep, "a", start + 0.7)  # as a float, that is some 50 ns more than 0.7 after the start
        await clock.advance(0.7)
        assert [name for name, _ in woken] == ["a"]
        assert clock.time() >= start + 0.7
        await clock.advance(0.6)
    assert [name for name, _ in woken] == ["a", "b"]
    assert woken[1][1] == pytest.approx(1.3)


async def test_a_moment_is_reached_however_it_is_rounded() -> None:
    """4.4 and the seconds up to 29.7 add up to less than 29.7 in floats; time must not stop there."""
    clock = VirtualClock(4.4)

    async def sleep() -> None:
        while clock.time() < 29.7:
            await clock.sleep_until(29.7)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(sleep)
            await clock.advance(30)
    assert clock.monotonic() == 30


async def test_a_moment_that_has_come_lets_others_run(clock: VirtualClock) -> None:
    """Who waits for now, or for a moment of the past, does not wait."""
    with anyio.fail_after(1):
        await clock.sleep_until(clock.time())
        await clock.sleep_until(0)


@pytest.mark.parametrize("seconds", [-100, 0.5, 100])
async def test_a_step_wakes_who_waits_for_a_moment(clock: VirtualClock, seconds: float) -> None:
    """They have a look at the clock; who sleeps for a while sleeps on."""
    woken: list[str] = []

    async def look(moment: float) -> None:
        await clock.sleep_until(moment)
        woken.append("look")

    async def sleep() -> None:
        await clock.sleep(10)
        woken.append("sleep")

    async with anyio.create_task_group() as tg:
        tg.start_soon(look, clock.time() + 10)
        tg.start_soon(sleep)
        await settle_down()
        clock.step(seconds)
        await settle_down()
        assert woken == ["look"]
        tg.cancel_scope.cancel()


async def test_a_steady_clock_waits_for_a_moment_of_its_own(clock: VirtualClock) -> None:
    """However often its source is stepped meanwhile."""
    steady = SteadyClock(clock, offset=1_000.1)
    woken: list[float] = []

    async def sleep(moment: float) -> None:
        while steady.time() < moment:
            await steady.sleep_until(moment)
        woken.append(clock.monotonic())

    async with anyio.create_task_group() as tg:
        tg.start_soon(sleep, steady.time() + 10)
        await clock.advance(3)
        clock.step(-50)
        await clock.advance(3)
        clock.step(500)
        await clock.advance(4)
    assert woken == [pytest.approx(10)]


@pytest.mark.parametrize("clock", [SystemClock(), VirtualClock(), SteadyClock()], ids=lambda c: type(c).__name__)
def test_clocks_are_clocks(clock: object) -> None:
    """All of them will do where a Clock is asked for."""
    assert isinstance(clock, Clock)


@pytest.mark.parametrize(
    ("left", "asked"), [(100, MAX_SLEEP), (0.5, 0.5 - PRECISION), (PRECISION / 2, 0), (0, 0), (-5, 0)]
)
async def test_the_systems_clock_sleeps_to_just_before_a_moment(
    monkeypatch: pytest.MonkeyPatch, left: float, asked: float
) -> None:
    """It looks up after a second in any case, and does not trust an event loop with the last stretch."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("aioq.clock.time.time", lambda: 1_000.0)
    monkeypatch.setattr("aioq.clock.anyio.sleep", sleep)
    await SystemClock().sleep_until(1_000.0 + left)
    assert slept == [pytest.approx(asked)]
