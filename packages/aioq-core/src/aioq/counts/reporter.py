"""Reports what a process has counted to the broker: a worker with its heartbeat, a client by a timer."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Final
from weakref import WeakSet

import anyio
from msgspec import Struct

from aioq.clock import BrokerClock, Clock, SystemClock
from aioq.conformance import lacking, supports
from aioq.counts.tallies import Tallies
from aioq.errors import BrokerUnavailable
from aioq.events import JobFact
from aioq.model.ids import new_id
from aioq.model.job import Completed, NewJob, Reaped, Settlement
from aioq.model.states import JobState
from aioq.model.statistics import REPEATABLE, Count, JobOutcome
from aioq.protocols import Broker, Statistics
from aioq.serialization.failure import error_text

__all__ = ["JobCounts"]

logger = logging.getLogger("aioq.counts")

REPORT_EVERY: Final = 3.0
"""Seconds after the first count at which a client reports."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that the last report may take."""

MAX_COUNTS: Final = 100
"""Counts of one report."""

LOG_INTERVAL: Final = 60.0
"""Seconds for which a rejected report is not logged again."""


class Report(Struct, frozen=True, kw_only=True):
    """Counts that were sent. The broker may not have confirmed them."""

    number: int
    counts: Sequence[Count]
    began: float
    """When they were sent first, on the monotonic clock."""


class JobCounts:
    """Counts what a process does with the jobs of a broker, and reports it. Several threads may use it.

    If the broker has no `Statistics`, nothing is counted. A client sets a timer of the event loop at the first count
    after a report; while a worker runs, the worker reports. The last report is that of `close`.

    Attributes:
        enabled: Whether the broker counts jobs.
    """

    def __init__(self, broker: Broker, *, clock: Clock | None = None) -> None:
        self.enabled = not lacking(broker, Statistics)
        self._broker: object = broker
        self._time = broker.time
        self._clock = BrokerClock(clock or SystemClock())
        self._sender: asyncio.Task[None] | None = None
        self._workers = 0
        self._logged_at = -LOG_INTERVAL
        self.start_over()
        _ALL.add(self)

    def start_over(self) -> None:
        """Forget everything, after a fork: what was counted before it is reported by the process that counted it."""
        # Another thread may have held the old one.
        self._lock = Lock()
        self._tallies = Tallies()
        self._reporter = new_id()
        self._number = 0
        self._unheard: Report | None = None
        self._reporting = False
        self._in_step = False
        """Whether the clock was compared with that of the broker."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        """When a client has to report next, on the monotonic clock; None if it has counted nothing."""

    def add_enqueued(self, jobs: Sequence[NewJob], is_new: Sequence[bool]) -> bool:
        """Count the jobs that the broker did not know before; return whether the caller has to `report`.

        That is so if the timer did not: its event loop has ended, or there are no timers.
        """
        if not self.enabled:
            return False
        self._tallies.add_enqueued(jobs, is_new)
        if self._tallies.has_many_enqueued:
            with self._lock:
                self._tallies.turn(self._clock.time())
                self._tallies.collect()
        return self._needs_timer() and self._set_timer()

    def add(self, queue: str, task: str, outcome: JobOutcome) -> None:
        """Count one job."""
        if not self.enabled:
            return
        with self._lock:
            self._tallies.turn(self._clock.time())
            self._tallies.tally(queue, task, outcome).count += 1
        if self._needs_timer():
            self._set_timer()

    def add_completed(self, completed: Sequence[Completed]) -> None:
        """Count jobs whose completion the broker has accepted. For workers."""
        if self.enabled:
            with self._lock:
                self._tallies.turn(self._clock.time())
                self._tallies.add_completed(completed)

    def add_settled(self, settlement: Settlement, duration: float | None) -> None:
        """Count an outcome that the broker has accepted; `duration` is the time that the task ran. For workers."""
        if self.enabled:
            with self._lock:
                self._tallies.turn(self._clock.time())
                self._tallies.add_settled(settlement, duration)

    def add_reaped(self, jobs: Sequence[Reaped]) -> None:
        """Count jobs that were taken from workers that are gone: crashes, and those of them that are dead now."""
        for job in jobs:
            if job.crashed:
                self.add(job.queue, job.task, JobOutcome.CRASHED)
            if job.state is JobState.DEAD:
                self.add(job.queue, job.task, JobOutcome.DEAD)

    def on_cancelled(self, fact: JobFact) -> None:
        """Count a job that a client has cancelled; the worker that ran it tells of it, too."""
        if not fact.worker_id:
            self.add(fact.queue, fact.task, JobOutcome.CANCELLED)

    @contextmanager
    def reported_by_worker(self) -> Generator[None]:
        """Set no timers inside the block: a worker calls `report`."""
        self._workers += 1
        try:
            yield
        finally:
            self._workers -= 1

    async def report(self) -> None:
        """Report what was counted. If the broker does not take it, it goes with the next report.

        It raises no error of the broker: the end of a job must not depend on its count.
        """
        if self._reporting or not (self._tallies or self._unheard):
            return
        self._reporting = True
        try:
            if supports(self._broker, Statistics):
                await self._report_all(self._broker)
            else:
                self.enabled = False
        except BrokerUnavailable as error:
            logger.debug("counts of jobs wait for the broker: %s", error_text(error), extra={"event": "counts_waiting"})
        except Exception as error:
            self._log(error)
        finally:
            self._reporting = False

    async def close(self) -> None:
        """Report what was counted, within two seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._due = None
        with anyio.move_on_after(CLOSE_TIMEOUT):
            if self._reporting and self._sender is not None and self._sender.get_loop() is asyncio.get_running_loop():
                await asyncio.wait([self._sender])
            await self.report()

    async def _report_all(self, broker: Statistics) -> None:
        if not self._in_step:
            await self._compare_clocks()
        with self._lock:
            now = self._clock.time()
            self._tallies.turn(now)
            self._tallies.collect()
            self._tallies.merge_old(now)
            parts = -(-len(self._tallies.waiting) // MAX_COUNTS)
        # What is counted meanwhile goes with the next report.
        for _ in range(parts + (self._unheard is not None)):
            await self._report_part(broker)

    async def _report_part(self, broker: Statistics) -> None:
        asked = self._clock.monotonic()
        if self._unheard is None or asked - self._unheard.began > REPEATABLE / 2:
            # The broker may have forgotten a report that is old, and would count it twice: that one is given up.
            self._unheard = self._next_report(asked)
        report = self._unheard
        if report is None:
            return
        now = await broker.add_counts(report.counts, reporter=self._reporter, number=report.number)
        self._unheard = None
        self._clock.heard(now, asked)

    def _next_report(self, now: float) -> Report | None:
        with self._lock:
            counts = self._tallies.take(MAX_COUNTS)
        if not counts:
            return None
        self._number += 1
        return Report(number=self._number, counts=counts, began=now)

    async def _compare_clocks(self) -> None:
        """Set the clock by that of the broker, and move what was counted until now."""
        asked, before = self._clock.monotonic(), self._clock.time()
        now = await self._time()
        with self._lock:
            self._tallies.turn(self._clock.time())
            self._clock.heard(now, asked)
            passed = self._clock.monotonic() - asked
            self._tallies.move(self._clock.time() - before - passed)
        self._in_step = True

    def _needs_timer(self) -> bool:
        return not self._workers and (self._timer is None or self._loop is None or self._loop.is_closed())

    def _set_timer(self) -> bool:
        """Report in a few seconds; return whether an earlier timer should have gone off and did not."""
        now = self._clock.monotonic()
        if self._due is not None and now < self._due:
            # Its event loop has ended. The next ones need not report each count of theirs alone.
            return False
        has_lapsed = self._due is not None
        self._due = now + REPORT_EVERY
        with suppress(RuntimeError):  # trio has no timers
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(REPORT_EVERY, self._on_timer, self._loop)
        return has_lapsed

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sender = loop.create_task(self._report_by_timer())

    async def _report_by_timer(self) -> None:
        await self.report()
        self._timer = self._due = None
        if self._tallies or self._unheard:
            self._set_timer()

    def _log(self, error: Exception) -> None:
        now = self._clock.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            logger.warning(
                "the broker rejects counts of jobs, which wait: %s", error_text(error),
                extra={"event": "counts_rejected"},
            )  # fmt: skip


_ALL: WeakSet[JobCounts] = WeakSet()


def _start_over_all() -> None:
    for counts in list(_ALL):
        counts.start_over()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over_all)
