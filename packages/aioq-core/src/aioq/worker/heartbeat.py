"""Keeps the leases of running jobs, and keeps the worker in the broker's list."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial

import anyio

from aioq.clock import Clock, SystemClock
from aioq.model.job import Lease, WorkerInfo
from aioq.protocols import Broker, LeaseKeeper, ThreadedLeases, WorkerRegistry
from aioq.retry import full_jitter
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.leases import LeaseTable
from aioq.worker.log import extra, job_of, logger
from aioq.worker.loop_monitor import LoopMonitor

__all__ = ["Heartbeat", "LeaseThread"]


class Heartbeat:
    """Beats three times in a lease: extends all leases in one call, and says who we are.

    The two do not wait for each other: a registry in trouble costs no lease. Where the broker
    has `ThreadedLeases`, leases are extended from a thread, and the event loop may be blocked.
    """

    def __init__(
        self, broker: Broker, retry: BrokerRetry, leases: LeaseTable, clock: Clock, *, lease: float, max_block: float
    ) -> None:
        self._broker, self._retry, self._leases, self._clock = broker, retry, leases, clock
        self._lease, self._max_block = lease, max_block
        self._watch = LoopMonitor()

    async def run(self, me: Callable[[], WorkerInfo], lost: Callable[[Lease], bool]) -> None:
        """Beat until cancelled.

        Args:
            me: What to tell the registry of workers.
            lost: Is handed every lease that was lost; returns whether a job runs under it.
        """
        async with anyio.create_task_group() as beats:
            beats.start_soon(self._watch.run)
            beats.start_soon(self._keep if _on_asyncio() else self._extend, lost)
            if isinstance(self._broker, WorkerRegistry):
                beats.start_soon(self._introduce, self._broker, me)

    async def leave(self, worker_id: str) -> None:
        """Take the worker off the broker's list."""
        if isinstance(self._broker, WorkerRegistry):
            await self._broker.deregister(worker_id)

    async def _introduce(self, registry: WorkerRegistry, me: Callable[[], WorkerInfo]) -> None:
        while True:
            await self._retry.call(lambda: registry.heartbeat(me(), ttl=self._lease))
            await self._clock.sleep(self._lease / 3)

    async def _keep(self, lost: Callable[[Lease], bool]) -> None:
        """Have leases extended from a thread if the broker can do that."""
        if not isinstance(self._broker, ThreadedLeases):
            await self._extend(lost)
            return
        connection = self._broker.keeper()
        keeper = LeaseThread(connection, self._leases, self._watch, lease=self._lease, max_block=self._max_block)
        keeper.start(partial(_give_up, lost))
        try:
            await anyio.sleep_forever()
        finally:
            keeper.stop()

    async def _extend(self, lost: Callable[[Lease], bool]) -> None:
        while True:
            await self._clock.sleep(self._lease / 3)
            if not self._leases:
                continue
            gone = await self._retry.call(lambda: self._broker.extend(self._leases.all(), seconds=self._lease))
            _give_up(lost, gone)


def _give_up(lost: Callable[[Lease], bool], gone: Sequence[Lease]) -> None:
    for lease in gone:
        if lost(lease):
            logger.warning("the lease of %s was lost; its run here is cancelled", job_of(lease), extra=extra(lease))


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


PATIENCE = 1.0
"""Seconds to wait for the thread at the end. It is a daemon: no process waits for it."""

LOOK = 0.2
"""Seconds between looks whether a loop that was blocked for too long goes on."""


class LeaseThread:
    """A thread that extends all leases three times in a lease.

    A loop that is blocked for longer than `max_block` seconds loses its leases: who does not
    come back must not keep jobs from others.
    """

    def __init__(
        self, connection: LeaseKeeper, leases: LeaseTable, watch: LoopMonitor, *, lease: float, max_block: float
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
        self._thread = threading.Thread(target=self._run, args=(loop, lost), name="aioq leases", daemon=True)
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
                held, seconds, error_text(error),
            )  # fmt: skip
