"""Reads clocks, waits on them, and converts what they show. No other module reads a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, tzinfo
from typing import Final, Protocol, runtime_checkable

import anyio

__all__ = [
    "MAX_SLEEP",
    "PRECISION",
    "BrokerClock",
    "Clock",
    "SteadyClock",
    "SystemClock",
    "cpu_time",
    "pass_time",
    "stored_time",
    "wait_until",
]

FIRST_TIME: Final = datetime(1, 1, 2, tzinfo=UTC).timestamp()
LAST_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""A day away from the ends of the calendar, so that every zone can show them."""


@runtime_checkable
class Clock(Protocol):
    """A clock that can be waited on. Tests pass a virtual one."""

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970-01-01T00:00:00Z. It may be set forward or back."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; never set."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for about `seconds`; may return early."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Let other tasks run until the wall clock shows about `moment`; may return early.

        Returns within about a second after the wall clock was set, so that the caller can read it again.
        """
        ...


MAX_SLEEP = 1.0
"""Longest single sleep towards a moment of the wall clock, in seconds: the clock may be set meanwhile."""

PRECISION = 0.0015
"""Seconds before a moment from which `sleep_until` returns at once, so that the caller polls the clock: event
loops round a sleep up to a whole millisecond, which would make every tick a millisecond late."""


class SystemClock:
    """The clocks of the host; the default of apps and workers."""

    monotonic = staticmethod(time.monotonic)  # no method around it: it is read twice for every job

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970-01-01T00:00:00Z."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for about `seconds`; may return a little early."""
        await anyio.sleep(max(0.0, seconds))

    async def sleep_until(self, moment: float) -> None:
        """Sleep until just before the wall clock shows `moment`, for `MAX_SLEEP` seconds at most.

        Within `PRECISION` seconds of the moment it returns at once, so that a caller that polls meets the moment
        within microseconds.
        """
        left = moment - time.time()
        await anyio.sleep(min(left - PRECISION, MAX_SLEEP) if left > PRECISION else 0)


cpu_time = time.thread_time
"""Return the processor time that the current thread has used, in seconds."""


class SteadyClock:
    """A clock that reads the wall time once and then advances with monotonic time.

    It does not change when the host's wall clock is set. With `offset` it follows another clock, such
    as the broker's.

    Args:
        source: The clock that measures elapsed time.
        offset: Seconds by which the followed clock is ahead of `source`'s wall clock now.
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
        # Only the distance counts: the two clocks may show different times.
        await self._source.sleep_until(self._source.time() + moment - self.time())

    def set(self, now: float) -> None:
        """Set the followed clock to `now`, in seconds since 1970."""
        self._base = now - self._source.monotonic()


async def pass_time(clock: Clock, seconds: float) -> None:
    """Return once `seconds` have passed on `clock`, even if its sleeps return early."""
    deadline = clock.monotonic() + seconds
    while (left := deadline - clock.monotonic()) > 0:
        await clock.sleep(left)


async def wait_until(event: anyio.Event, clock: Clock, timeout: float) -> bool:
    """Wait for `event`; return False if `timeout` seconds pass on `clock` first."""
    # Without a task group, which takes longer than anything else here.
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
    """A worker's estimate of the broker's clock: runs on monotonic time, corrected by every answer.

    Until the first answer it shows the host's wall clock.
    """

    def heard(self, now: float, asked: float) -> None:
        """Correct the clock by an answer that has just arrived.

        The broker read its clock between the request and now. That gives a lower and an upper bound;
        the estimate changes only if it lies outside of them, so a slow answer changes little.

        Args:
            now: The broker's clock in its answer, in seconds since 1970.
            asked: When the request was sent, in monotonic seconds.
        """
        latest = now + self.monotonic() - asked
        self.set(min(max(self.time(), now), latest))


def stored_time(seconds: float, zone: tzinfo = UTC) -> datetime:
    """Return a time that a broker has stored. Damaged data may have any number: the calendar's ends bound it."""
    return datetime.fromtimestamp(min(max(seconds, FIRST_TIME), LAST_TIME), zone)
