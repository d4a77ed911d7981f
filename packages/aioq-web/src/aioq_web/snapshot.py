"""Reads the facts that most pages share, at most once a second for all readers together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import anyio

from aioq import Aarq
from aioq.clock import Clock, SystemClock, cpu_time
from aioq.conformance import supports
from aioq.model.cron import CronStatus
from aioq.model.job import QueueStats
from aioq.model.stops import Stop
from aioq.model.workers import WorkerInfo
from aioq.protocols import JobStore, QueueControl, TickLedger, WorkerRegistry

__all__ = ["Snapshot", "Snapshots", "age_for"]

MAX_AGE = 1.0
"""Seconds for which a snapshot is used."""

CRONS_MAX_AGE = 3.0
"""Seconds for which the statuses of crons are used: there may be a thousand."""

TIMEOUT = 5.0
"""Seconds to wait for the broker."""

SHARE: Final = 0.01
"""The part of the time that snapshots for open pages may take: with 10,000 queues one takes half a second."""

OLDEST: Final = 30.0
"""Seconds for which a snapshot is used by open pages, however much it costs."""


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

    def pause_of(self, queue: str) -> Stop | None:
        """Return the pause of a queue; None if it is not paused."""
        return self._pauses.get(queue)

    @cached_property
    def _pauses(self) -> dict[str, Stop]:
        return {stop.queue: stop for stop in self.stops or () if stop.task is None}

    @cached_property
    def paused_crons(self) -> list[CronStatus]:
        """The entries that are paused, the longest first."""
        paused = [status for status in self.crons or () if status.pause and not status.retired_at]
        return sorted(paused, key=lambda status: status.pause.at if status.pause else 0.0)

    @cached_property
    def failures(self) -> int:
        """Failures that no person has replayed or dismissed yet."""
        return sum(stats.failures for stats in self.queues or ())

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
        self._cost = 0.0
        self._crons_taken_at = 0.0

    async def latest(self, max_age: float = MAX_AGE) -> Snapshot:
        """Return a snapshot that is at most `max_age` seconds old; `age_for` says when it may be older.

        Raises:
            BrokerUnavailable, TimeoutError: The broker does not answer.
        """
        async with self._lock:
            if self._latest is None or self._clock.monotonic() - self._taken_at > age_for(max_age, self._cost):
                began = cpu_time()
                with anyio.fail_after(TIMEOUT):
                    self._latest = await self._take()
                self._cost = cpu_time() - began
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


def age_for(max_age: float, cost: float) -> float:
    """Return how many seconds old a snapshot may be.

    Args:
        max_age: What a page asks for: up to `MAX_AGE` if a reader has opened it, more if it is updated.
        cost: The processor time that the latest snapshot has taken, in seconds.
    """
    if max_age <= MAX_AGE:
        return MAX_AGE
    return min(max(max_age, cost / SHARE), OLDEST)
