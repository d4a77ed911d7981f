"""Extends the leases of running jobs, keeps the worker in the broker's list of workers, and reports its counts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial

import anyio

from aioq.clock import SystemClock
from aioq.conformance import supports
from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.events import WorkerEvent, WorkerFact
from aioq.model.job import Lease
from aioq.model.workers import WorkerInfo
from aioq.protocols import LeaseKeeper, ThreadedLeases, WorkerRegistry
from aioq.retry import full_jitter
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import OUTAGES
from aioq.worker.log import extra, job_of, logger
from aioq.worker.loop_monitor import LoopMonitor
from aioq.worker.runtime import Runtime
from aioq.worker.workload import LeaseTable

__all__ = ["Heartbeat", "LeaseThread"]

TIMEOUT = 1 / 3
"""Lease lengths that one extension may take. So a second one can come in time after one that was not answered."""

MAX_PAUSE = 1 / 6
"""Lease lengths between two extensions after one has failed, at most."""

THREAD_TIMEOUT = 1.0
"""Seconds to wait for the thread to end. It is a daemon thread, so the process can end without it."""

LOOP_POLL_INTERVAL = 0.2
"""Seconds between checks whether a loop that was blocked for too long runs again."""


class Heartbeat:
    """Extends all leases with one call, refreshes the worker's registration and reports counts, three times per lease.

    They are independent: trouble with the registration loses no lease. If the broker has `ThreadedLeases`, a thread
    extends the leases, also while the event loop is blocked.
    """

    def __init__(self, runtime: Runtime, *, max_block: float) -> None:
        self._broker = runtime.app.broker
        self._counts = runtime.app.counts
        self._events = runtime.app.events
        self._retry = runtime.retry
        self._leases = runtime.leases
        self._clock = runtime.clock
        self._lease = runtime.lease
        self._max_block = max_block
        self._monitor = LoopMonitor()
        self._thread: LeaseThread | None = None
        self._extended_at = self._clock.monotonic()
        self._on_lost: Callable[[Lease], bool] = lambda _: False
        self.registered = False
        """Whether the broker's list of workers has had the worker in it, or there is none."""

    async def run(self, info: Callable[[], WorkerInfo], on_lost: Callable[[Lease], bool]) -> None:
        """Run until cancelled.

        Args:
            info: Returns the worker's entry in the broker's list.
            on_lost: Called with each lost lease; returns whether a job runs under it.
        """
        self._on_lost = on_lost
        async with anyio.create_task_group() as duties:
            duties.start_soon(self._monitor.run)
            # The thread reports lost leases by `call_soon_threadsafe`, which trio does not have.
            if supports(self._broker, ThreadedLeases) and _on_asyncio():
                duties.start_soon(self._extend_in_thread, self._broker)
            else:
                duties.start_soon(self._extend)
            if supports(self._broker, WorkerRegistry):
                duties.start_soon(self._register, self._broker, info)
            else:
                self.registered = True
            if self._counts.enabled:
                duties.start_soon(self._report_counts)

    async def leave(self, worker_id: str) -> None:
        """Remove the worker from the broker's list."""
        if supports(self._broker, WorkerRegistry):
            await self._broker.deregister(worker_id)

    async def _register(self, registry: WorkerRegistry, info: Callable[[], WorkerInfo]) -> None:
        while True:
            # It lives as long as a lease: a worker that lost its leases must not be listed as up.
            await self._retry.call(lambda: registry.heartbeat(self._described(info), ttl=self._lease))
            self.registered = True
            await self._clock.sleep(self._lease / 3)

    def _described(self, info: Callable[[], WorkerInfo]) -> WorkerInfo:
        """Return what the worker reports now, and fire its event."""
        worker = info()
        if WorkerEvent.REPORTED in self._events.listeners:
            fact = WorkerFact(
                event=WorkerEvent.REPORTED, worker_id=worker.id, at=self._clock.time(), queues=worker.queues,
                stuck=worker.stuck, info=worker,
            )  # fmt: skip
            self._events.fire(fact)
        return worker

    async def _report_counts(self) -> None:
        with self._counts.reported_by_worker():
            while True:
                await self._clock.sleep(self._lease / 3)
                await self._counts.report()

    def take_loop_lag(self) -> float | None:
        """Return the longest time in seconds for which the event loop did not answer since the last call."""
        return self._monitor.take_lag()

    def overdue(self) -> bool:
        """Return whether leases were claimed or extended last so long ago that they may run out."""
        if not self._leases:
            return False
        ago = self._clock.monotonic() - self._extended_at
        if self._thread is not None:
            ago = min(ago, self._thread.extended_ago())
        return ago > self._lease / 2

    async def extend_now(self) -> dict[str, Exception]:
        """Extend all leases; return the errors by queue."""
        started = self._clock.monotonic()
        errors: dict[str, Exception] = {}
        try:
            await self._extend_of(self._leases.all())
        except PartlyUnavailable as error:
            errors.update(error.away)
        except OUTAGES as error:
            errors.update(dict.fromkeys((lease.queue for lease in self._leases.all()), error))
        except Exception:
            # The broker rejects the leases of some queue, which must not stop the others.
            for queue in {lease.queue for lease in self._leases.all()}:
                try:
                    await self._extend_of([lease for lease in self._leases.all() if lease.queue == queue])
                except Exception as error:
                    errors[queue] = error
        if not errors:
            self._extended_at = started
        return errors

    async def _extend_of(self, leases: Sequence[Lease]) -> None:
        """Extend leases and cancel the runs of those that are lost, also if some queues cannot be reached."""
        try:
            lost = await self._broker.extend(leases, seconds=self._lease)
        except PartlyUnavailable as error:
            _report_lost(self._on_lost, error.answer)
            raise
        _report_lost(self._on_lost, lost)

    async def _extend_in_thread(self, broker: ThreadedLeases) -> None:
        keeper = broker.keeper(timeout=self._lease * TIMEOUT)
        thread = LeaseThread(keeper, self._leases, self._monitor, lease=self._lease, max_block=self._max_block)
        self._thread = thread
        thread.start(partial(_report_lost, self._on_lost))
        try:
            await anyio.sleep_forever()
        finally:
            thread.stop()

    async def _extend(self) -> None:
        while True:
            await self._leases.wait_held()
            await self._clock.sleep(self._lease / 3)
            started = self._clock.monotonic()
            if self._leases:
                # Every third of a lease: one call may fail or be late, and the next one still comes in time.
                try:
                    await self._extend_in_time()
                except Exception as error:
                    await self._retry.repeat(self._extend_in_time, after=error, pause=self._pause)
            self._extended_at = started

    async def _extend_in_time(self) -> None:
        limit = self._lease * TIMEOUT
        try:
            with anyio.fail_after(limit):
                await self._extend_of(self._leases.all())
        except TimeoutError:
            raise BrokerUnavailable(f"the leases were not extended within {limit:g} s") from None

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep(min(seconds, self._lease * MAX_PAUSE))


def _report_lost(on_lost: Callable[[Lease], bool], lost: Sequence[Lease]) -> None:
    for lease in lost:
        if on_lost(lease):
            logger.warning(
                "the lease of %s was lost; its run here is cancelled",
                job_of(lease),
                extra=extra("lease_lost", lease),
            )


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class LeaseThread:
    """A thread that extends all leases, three times per lease.

    If the event loop is blocked for more than `max_block` seconds, the thread stops extending its leases, so that other
    workers can take the jobs.
    """

    def __init__(
        self, connection: LeaseKeeper, leases: LeaseTable, monitor: LoopMonitor, *, lease: float, max_block: float
    ) -> None:
        self._connection = connection
        self._leases = leases
        self._monitor = monitor
        self._lease = lease
        self._max_block = max_block
        # Not the worker's clock, which may be a virtual one in a test: `Event.wait` below measures real time.
        self._clock = SystemClock()
        self._ended = threading.Event()
        self._failures = 0
        self._extended_at = 0.0
        self._danger_logged = False
        self._suspended = False
        """Whether the leases are not extended at the moment because the loop is blocked for too long."""

    def start(self, on_lost: Callable[[list[Lease]], None]) -> None:
        """Start the thread. It calls `on_lost` with lost leases, in the event loop that is running now."""
        loop = asyncio.get_running_loop()
        self._extended_at = self._clock.monotonic()
        self._thread = threading.Thread(
            # With the context variables of the worker, whose id is in its log records.
            target=copy_context().run,
            args=(self._run, loop, on_lost),
            name="aioq leases",
            daemon=True,
        )
        self._thread.start()

    def extended_ago(self) -> float:
        """Return the seconds since all leases were extended, or since none was held. Other threads may call this."""
        return self._clock.monotonic() - self._extended_at

    def stop(self) -> None:
        """End the thread. Closing its connection ends a call that waits for an answer."""
        self._ended.set()
        self._connection.close()
        self._thread.join(THREAD_TIMEOUT)

    def _run(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[list[Lease]], None]) -> None:
        try:
            while not self._ended.wait(self._pause()):
                lost = self._extend()
                if lost:
                    # The loop's thread owns the running jobs, so they are cancelled there.
                    loop.call_soon_threadsafe(on_lost, lost)
        except RuntimeError:
            # The loop was closed without stopping the thread, as when a process ends in the middle of a run.
            if not loop.is_closed():
                raise
        finally:
            self._connection.close()

    def _pause(self) -> float:
        if self._suspended:
            return LOOP_POLL_INTERVAL
        return min(full_jitter(self._failures - 1), self._lease * MAX_PAUSE) if self._failures else self._lease / 3

    def _extend(self) -> list[Lease]:
        """Extend the leases that are held, and return those that are lost."""
        held = self._leases.all()
        if self._monitor.blocked_for() > self._max_block:
            self._suspend(held)
            return []
        self._suspended = False
        # An idle worker makes no call; that counts as success, for no lease is in danger.
        try:
            lost = self._connection.extend(held, seconds=self._lease) if held else []
        except PartlyUnavailable as error:
            self._failures += 1
            self._log_danger(error, sum(lease.queue in error.away for lease in held))
            reached: list[Lease] = error.answer
            return reached
        except Exception as error:
            self._failures += 1
            self._log_danger(error, len(held))
            return []
        self._note_success()
        return lost

    def _suspend(self, held: list[Lease]) -> None:
        if not self._suspended:
            self._suspended = True
            logger.error(
                "the event loop has been blocked for more than %g s: the leases of %d jobs are no longer extended, "
                "and other workers take over the jobs; see max_block", self._max_block, len(held),
                extra={"event": "leases_suspended"},
            )  # fmt: skip

    def _note_success(self) -> None:
        self._failures = 0
        self._extended_at = self._clock.monotonic()
        if self._danger_logged:
            self._danger_logged = False
            logger.warning("leases are extended again", extra={"event": "leases_extended"})

    def _log_danger(self, error: Exception, held: int) -> None:
        """Log that leases are about to expire. `BrokerRetry` logs the outage itself."""
        seconds = self._clock.monotonic() - self._extended_at
        if seconds > self._lease / 2 and not self._danger_logged and not self._ended.is_set():
            self._danger_logged = True
            logger.error(
                "the leases of %d jobs could not be extended for %.1f s and are about to expire: %s",
                held, seconds, error_text(error), extra={"event": "leases_in_danger"},
            )  # fmt: skip
