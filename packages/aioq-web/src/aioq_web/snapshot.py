"""Reads the facts that most pages share, at most once a second for all readers together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import anyio

from aioq import Aarq
from aioq.clock import Clock, SystemClock
from aioq.conformance import supports
from aioq.model.cron import CronStatus
from aioq.model.job import QueueStats, WorkerInfo
from aioq.model.stops import Stop
from aioq.protocols import JobStore, QueueControl, TickLedger, WorkerRegistry

__all__ = ["Snapshot", "Snapshots"]

MAX_AGE = 1.0
"""Seconds for which a snapshot is used."""

CRONS_MAX_AGE = 3.0
"""Seconds for which the statuses of crons are used: there may be a thousand."""

TIMEOUT = 5.0
"""Seconds to wait for the broker."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the broker says about its queues, workers and crons. A part is None if the broker has no protocol for it."""

    now: float
    """The broker's clock, in seconds since 1970."""
    queues: Sequence[QueueStats] | None = None
    workers: Sequence[WorkerInfo] | None = None
    crons: Sequence[CronStatus] | None = field(default=None, repr=False)

    stops: Sequence[Stop] | None = None
    """The queues that are paused, and the tasks that are stopped."""

    def stops_of(self, queue: str, task: str | None = None) -> list[Stop]:
        """Return what keeps the jobs of a queue waiting: its pause, and a stop of the task if one is named."""
        return [stop for stop in self._stops_by_queue.get(queue, ()) if stop.task in (None, task)]

    @cached_property
    def _stops_by_queue(self) -> dict[str, list[Stop]]:
        found: dict[str, list[Stop]] = {}
        for stop in self.stops or ():
            found.setdefault(stop.queue, []).append(stop)
        return found

    @cached_property
    def paused_crons(self) -> list[CronStatus]:
        """The entries that are paused, the longest first."""
        paused = [status for status in self.crons or () if status.pause and not status.retired_at]
        return sorted(paused, key=lambda status: status.pause.at if status.pause else 0.0)

    @cached_property
    def failed(self) -> int:
        """Failures that no person has replayed or dismissed yet."""
        return sum(stats.failed for stats in self.queues or ())

    @cached_property
    def stuck(self) -> int:
        """Slots of all workers whose tasks cannot be stopped."""
        return sum(worker.stuck for worker in self.workers or ())

    def workers_of(self, queue: str) -> list[WorkerInfo]:
        """Return the workers that consume a queue."""
        return self._workers_by_queue.get(queue, [])

    @cached_property
    def _workers_by_queue(self) -> dict[str, list[WorkerInfo]]:
        found: dict[str, list[WorkerInfo]] = {}
        for worker in self.workers or ():
            for queue in worker.queues:
                found.setdefault(queue, []).append(worker)
        return found


class Snapshots:
    """Takes snapshots of an app's broker, and shares each among all requests of the next second."""

    def __init__(self, app: Aarq, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._lock = anyio.Lock()
        self._latest: Snapshot | None = None
        self._taken_at = 0.0
        self._crons_taken_at = 0.0

    async def latest(self, max_age: float = MAX_AGE) -> Snapshot:
        """Return a snapshot that is at most `max_age` seconds old, or `MAX_AGE` if that is more.

        Raises:
            BrokerUnavailable, TimeoutError: The broker does not answer.
        """
        async with self._lock:
            if self._latest is None or self._clock.monotonic() - self._taken_at > max(max_age, MAX_AGE):
                with anyio.fail_after(TIMEOUT):
                    self._latest = await self._take()
                self._taken_at = self._clock.monotonic()
            return self._latest

    def forget(self) -> None:
        """Take a new snapshot with the next request, because something was changed."""
        self._latest = None

    async def _take(self) -> Snapshot:
        await self._app.connect()
        broker = self._app.broker
        return Snapshot(
            now=await broker.time(),
            queues=await broker.queue_stats() if supports(broker, JobStore) else None,
            workers=await broker.list_workers() if supports(broker, WorkerRegistry) else None,
            stops=await broker.list_stops() if supports(broker, QueueControl) else None,
            crons=await self._crons(),
        )

    async def _crons(self) -> Sequence[CronStatus] | None:
        broker, now = self._app.broker, self._clock.monotonic()
        if not supports(broker, TickLedger):
            return None
        known = self._latest.crons if self._latest is not None else None
        if known is None or now - self._crons_taken_at > CRONS_MAX_AGE:
            known = await broker.cron_statuses(self._app.name)
            self._crons_taken_at = now
        return known
