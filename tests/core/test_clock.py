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


async def test_system_clock_follows_host() -> None:
    """The system clock has the host's wall and monotonic time, and accepts negative sleeps."""
    clock = SystemClock()
    assert isinstance(clock, Clock)
    assert abs(clock.time() - time.time()) < 5
    before = clock.monotonic()
    await clock.sleep(-1)
    await clock.sleep(0.001)
    assert clock.monotonic() > before


def test_steady_clock_ignores_wall_clock_steps(clock: VirtualClock) -> None:
    """A steady clock reads the wall time once and continues with monotonic time."""
    steady = SteadyClock(clock, offset=10)
    start = steady.time()
    clock.step(3600)
    assert steady.time() == start == clock.time() - 3600 + 10
    clock.suspend(5)
    assert steady.time() == start + 5
    assert steady.monotonic() == clock.monotonic() == 5


async def test_steady_clock_set(clock: VirtualClock) -> None:
    """A steady clock that is set shows the new time from then on."""
    steady = SteadyClock(clock)
    steady.set(1000.0)
    await clock.advance(2)
    assert steady.time() == 1002.0


def test_steady_clock_default_source_is_system() -> None:
    """Without a source a steady clock measures the host's clocks."""
    assert abs(SteadyClock().time() - time.time()) < 5


async def test_pass_time_repeats_early_sleeps() -> None:
    """If a sleep returns early, `pass_time` sleeps again."""
    clock = Hasty()
    async with anyio.create_task_group() as tg:
        tg.start_soon(clock.advance, 10)
        await pass_time(clock, 10)
        assert clock.monotonic() >= 10


async def test_wait_until_event_is_set(clock: VirtualClock) -> None:
    """An event that is set in time ends the wait."""
    event = anyio.Event()
    async with anyio.create_task_group() as tg:

        async def wait() -> None:
            assert await wait_until(event, clock, 10) is True
            assert clock.monotonic() == 3

        tg.start_soon(wait)
        await clock.advance(3)
        event.set()


async def test_wait_until_timeout(clock: VirtualClock) -> None:
    """Without the event the wait ends at the timeout; a timeout of 0 does not wait."""
    event = anyio.Event()
    async with anyio.create_task_group() as tg:
        tg.start_soon(clock.advance, 10)
        assert await wait_until(event, clock, 10) is False
    assert await wait_until(event, clock, 0) is False
    event.set()
    assert await wait_until(event, clock, -1) is True


# The virtual clock


async def test_virtual_clock_moves_only_on_request(clock: VirtualClock) -> None:
    """A virtual clock moves when the test moves it, and by that amount."""
    start = clock.time()
    await settle_down()
    assert (clock.time(), clock.monotonic()) == (start, 0)
    await clock.advance(7.5)
    assert (clock.time(), clock.monotonic()) == (start + 7.5, 7.5)
    clock.step(-100)
    assert (clock.time(), clock.monotonic()) == (start - 92.5, 7.5)
    clock.suspend(1)
    assert (clock.time(), clock.monotonic()) == (start - 91.5, 8.5)


async def test_virtual_clock_wakes_sleepers_in_order(clock: VirtualClock) -> None:
    """Each sleeper sees its own time, and may sleep again during the same advance."""
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


async def test_virtual_clock_zero_sleep_yields(clock: VirtualClock) -> None:
    """Zero and negative sleeps do not wait for time to pass."""
    with anyio.fail_after(1):
        await clock.sleep(0)
        await clock.sleep(-5)
    assert clock.monotonic() == 0


async def test_virtual_clock_forgets_cancelled_sleepers(clock: VirtualClock) -> None:
    """Thousands of cancelled waits leave nothing behind."""
    async with anyio.create_task_group() as tg:
        for n in range(2000):
            tg.start_soon(clock.sleep, 10 + n)
        await settle_down()
        tg.cancel_scope.cancel()
    await clock.advance(1)
    assert not clock._sleepers  # pyright: ignore[reportPrivateUsage]
    assert clock.monotonic() == 1


async def test_virtual_clock_suspend_wakes_later(clock: VirtualClock) -> None:
    """A suspend wakes no sleeper by itself; sleepers notice afterwards that they are late."""
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


async def test_virtual_clock_sleep_until_wakes_in_order(clock: VirtualClock) -> None:
    """Sleepers until a moment wake in order with others, whatever the rounding of the float."""
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


async def test_virtual_clock_reaches_rounded_moment() -> None:
    """Time passes a moment that a sum of floats misses by rounding."""
    clock = VirtualClock(4.4)

    async def sleep() -> None:
        while clock.time() < 29.7:
            await clock.sleep_until(29.7)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(sleep)
            await clock.advance(30)
    assert clock.monotonic() == 30


async def test_virtual_clock_sleep_until_past_yields(clock: VirtualClock) -> None:
    """A sleep until now or until a past moment does not wait."""
    with anyio.fail_after(1):
        await clock.sleep_until(clock.time())
        await clock.sleep_until(0)
    assert clock.monotonic() == 0


@pytest.mark.parametrize("seconds", [-100, 0.5, 100])
async def test_virtual_clock_step_wakes_sleep_until(clock: VirtualClock, seconds: float) -> None:
    """A step ends `sleep_until`, and does not end `sleep`."""
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


async def test_steady_clock_sleep_until_own_moment(clock: VirtualClock) -> None:
    """A steady clock waits for its own moment, although its source is stepped meanwhile."""
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
def test_clocks_implement_protocol(clock: object) -> None:
    """All clocks implement the protocol `Clock`."""
    assert isinstance(clock, Clock)


@pytest.mark.parametrize(
    ("left", "asked"), [(100, MAX_SLEEP), (0.5, 0.5 - PRECISION), (PRECISION / 2, 0), (0, 0), (-5, 0)]
)
async def test_system_clock_sleep_until_stops_before_moment(
    monkeypatch: pytest.MonkeyPatch, left: float, asked: float
) -> None:
    """The system clock sleeps a second at most, and returns just before the moment."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("aioq.clock.time.time", lambda: 1_000.0)
    monkeypatch.setattr("aioq.clock.anyio.sleep", sleep)
    await SystemClock().sleep_until(1_000.0 + left)
    assert slept == [pytest.approx(asked)]
