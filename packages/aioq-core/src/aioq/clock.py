"""The only place that asks what time it is."""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable

import anyio

__all__ = ["BrokerClock", "FINE", "LOOK_UP", "SteadyClock", "SystemClock", "pass_time", "wait_until"]


@runtime_checkable
class Clock(Protocol):
    """What time it is, and how to wait. Tests hand in a virtual one."""

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970-01-01T00:00:00Z. It may step."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never steps."""

    async def sleep(self, seconds: float) -> None:
        """Let others run for about `seconds`; may wake early."""

    async def sleep_until(self, moment: float) -> None:
        """Let others run until the wall clock shows about `moment`; may wake early.

        Wakes within about a second when the wall clock is set, so that the caller can look.
        """


LOOK_UP = 1.0
"""Seconds after which who waits for a time of day looks at the clock in any case."""

FINE = 0.0015
"""Seconds before a moment from which on the clock is looked at all the time: event loops round
a sleep up to a whole millisecond, which would make every tick a millisecond late."""


class SystemClock:
    """The host's clocks: what every worker uses unless a test hands it another."""

    monotonic = staticmethod(time.monotonic)  # no method around it: it is read twice for every job

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970-01-01T00:00:00Z."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for about `seconds`; may wake a little early."""
        await anyio.sleep(max(0.0, seconds))

    async def sleep_until(self, moment: float) -> None:
        """Sleep until just before the wall clock shows `moment`, for `LOOK_UP` seconds at most: it may be set.

        Over the last `FINE` seconds it returns at once, so that who looks again gets the moment to some microseconds.
        """
        left = moment - time.time()
        await anyio.sleep(min(left - FINE, LOOK_UP) if left > FINE else 0)


class SteadyClock:
    """A clock whose wall time was read once and then advances with monotonic time.

    Steps of the host's wall clock do not reach it. Give `offset` to follow somebody
    else's clock instead, for example a broker's.

    Args:
        source: The clock to measure elapsed time with.
        offset: Seconds that the followed clock is ahead of `source`'s wall clock now.
    """

    def __init__(self, source: Clock | None = None, *, offset: float = 0.0) -> None:
        self._source = source or SystemClock()
        self._base = self._source.time() - self._source.monotonic() + offset

    def time(self) -> float:
        """Return the followed wall clock, in seconds since 1970-01-01T00:00:00Z."""
        return self._base + self._source.monotonic()

    def monotonic(self) -> float:
        """Return the source's monotonic time, in seconds."""
        return self._source.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the source clock."""
        await self._source.sleep(seconds)

    async def sleep_until(self, moment: float) -> None:
        """Sleep on the source clock until this one shows about `moment`."""
        await self._source.sleep_until(self._source.time() + moment - self.time())

    def set(self, now: float) -> None:
        """Follow a clock that showed `now` (seconds since 1970) this very moment."""
        self._base = now - self._source.monotonic()


async def pass_time(clock: Clock, seconds: float) -> None:
    """Return when `seconds` have passed on `clock`, however early its sleeps wake."""
    deadline = clock.monotonic() + seconds
    while (left := deadline - clock.monotonic()) > 0:
        await clock.sleep(left)


async def wait_until(event: anyio.Event, clock: Clock, timeout: float) -> bool:
    """Wait for `event`; return False when `timeout` seconds of `clock` have passed first."""
    if event.is_set() or timeout <= 0:
        return event.is_set()
    async with anyio.create_task_group() as tg:

        async def alarm() -> None:
            await pass_time(clock, timeout)
            tg.cancel_scope.cancel()

        tg.start_soon(alarm)
        await event.wait()
        tg.cancel_scope.cancel()
    return event.is_set()


class BrokerClock(SteadyClock):
    """Runs on the host's monotonic time, and is put right by every answer of the broker.

    Until the first answer it shows the host's wall clock.
    """

    def heard(self, now: float, asked: float) -> None:
        """Learn from an answer that has just come in.

        The broker read its clock at some moment between the question and now, so an answer
        that took long says little: only what it contradicts is changed.

        Args:
            now: What the broker's clock showed.
            asked: Monotonic seconds of the question.
        """
        latest = now + self.monotonic() - asked
        self.set(min(max(self.time(), now), latest))
