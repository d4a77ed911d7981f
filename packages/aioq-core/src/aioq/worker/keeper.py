"""Extends leases from a thread, so that a task that blocks the event loop keeps its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from aioq.clock import SystemClock
from aioq.failure import said
from aioq.job import Lease
from aioq.protocols import LeaseKeeper
from aioq.retry import full_jitter
from aioq.worker.leases import LeaseTable
from aioq.worker.log import logger
from aioq.worker.watch import LoopWatch

__all__ = ["Keeper"]

PATIENCE = 1.0
"""Seconds to wait for the thread at the end. It is a daemon: no process waits for it."""

LOOK = 0.2
"""Seconds between looks whether a loop that was blocked for too long goes on."""


class Keeper:
    """A thread that extends all leases three times in a lease.

    A loop that is blocked for longer than `max_block` seconds loses its leases: who does not
    come back must not keep jobs from others.
    """

    def __init__(
        self, connection: LeaseKeeper, leases: LeaseTable, watch: LoopWatch, *, lease: float, max_block: float
    ) -> None:
        self._connection, self._leases, self._watch = connection, leases, watch
        self._lease, self._max_block = lease, max_block
        self._clock = SystemClock()
        self._ended = threading.Event()
        self._failures = 0
        self._kept_at = 0.0
        self._complained = self._lapsed = False

    def start(self, lost: Callable[[list[Lease]], None]) -> None:
        """Begin to extend; `lost` is called in the event loop that runs here, with the leases that are lost."""
        loop = asyncio.get_running_loop()
        self._kept_at = self._clock.monotonic()
        self._thread = threading.Thread(target=self._run, args=(loop, lost), name="aioq keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, also if it is waiting for an answer."""
        self._ended.set()
        self._connection.close()
        self._thread.join(PATIENCE)

    def _run(self, loop: asyncio.AbstractEventLoop, lost: Callable[[list[Lease]], None]) -> None:
        try:
            while not self._ended.wait(self._pause()):
                gone = self._beat()
                if gone:
                    loop.call_soon_threadsafe(lost, gone)
        except RuntimeError:
            if not loop.is_closed():
                raise
        finally:
            self._connection.close()

    def _pause(self) -> float:
        if self._lapsed:
            return LOOK
        return full_jitter(self._failures - 1) if self._failures else self._lease / 3

    def _beat(self) -> list[Lease]:
        """Extend what is held, and return what is lost."""
        held = self._leases.all()
        if self._watch.blocked_for() > self._max_block:
            self._let_lapse(held)
            return []
        self._lapsed = False
        try:
            lost = self._connection.extend(held, seconds=self._lease) if held else []
        except Exception as error:
            self._failures += 1
            self._tell(error, len(held))
            return []
        self._kept()
        return lost

    def _let_lapse(self, held: list[Lease]) -> None:
        if not self._lapsed:
            self._lapsed = True
            logger.error(
                "the event loop has been blocked for more than %g s: the leases of %d jobs are extended no more, "
                "and other workers take the jobs over; see max_block", self._max_block, len(held),
            )  # fmt: skip

    def _kept(self) -> None:
        self._failures, self._kept_at = 0, self._clock.monotonic()
        if self._complained:
            self._complained = False
            logger.warning("leases are extended again")

    def _tell(self, error: Exception, held: int) -> None:
        """Tell of a failure that has become a danger; of an outage as such others tell."""
        seconds = self._clock.monotonic() - self._kept_at
        if seconds > self._lease * 2 / 3 and not self._complained and not self._ended.is_set():
            self._complained = True
            logger.error(
                "the leases of %d jobs could not be extended for %.1f s, and run out: %s",
                held, seconds, said(error),
            )  # fmt: skip
