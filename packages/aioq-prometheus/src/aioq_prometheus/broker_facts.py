"""Asks the broker about queues, workers and crons, at most once in some seconds for all requests together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

import anyio

from aioq import Aarq, BrokerUnavailable, JobState
from aioq.clock import Clock, SystemClock, cpu_time
from aioq.conformance import supports
from aioq.cron import CronEntry
from aioq.cron.misfire import overdue
from aioq.errors import PartlyUnavailable
from aioq.model.cron import CronKey, CronStatus
from aioq.model.job import QueueStats
from aioq.model.stops import Stop
from aioq.model.workers import WorkerInfo
from aioq.protocols import JobStore, QueueControl, TickLedger, WorkerRegistry

__all__ = ["MAX_ENTRIES", "MAX_QUEUES", "BrokerFacts", "Facts"]

T = TypeVar("T")

MAX_AGE: Final = 5.0
"""Seconds for which an answer of the broker is used, also that it did not answer."""

SHARE: Final = 0.01
"""The part of a processor that the questions may take: with 10,000 queues they take half a second."""

OLDEST: Final = 60.0
"""Seconds for which an answer is used, however much it costs."""

TIMEOUT: Final = 3.0
"""Seconds to wait for the broker. A worker gives a request 5 seconds, and a Prometheus server 10."""

MAX_QUEUES: Final = 100
"""Queues that have series of their own."""

MAX_ENTRIES: Final = 500
"""Cron entries that have series of their own."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a broker knows at one time. A part is None if it has no protocol for it."""

    now: float
    queues: Mapping[str, QueueStats] | None = None
    """The queues with series of their own."""
    others: Sequence[QueueStats] = ()
    latencies: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds for which the job that runs next has been due, by queue."""
    stops: Sequence[Stop] | None = None
    workers: Sequence[WorkerInfo] | None = None
    """The workers of the app."""
    crons: Sequence[CronStatus] | None = None
    """The registered entries of the app."""
    overdue: Mapping[CronKey, float] = field(default_factory=dict[CronKey, float])
    """Seconds since the oldest tick that should have a record and has none, by entry of the code; 0 without one."""


class BrokerFacts:
    """Asks the broker of an app, and keeps the latest answer."""

    def __init__(self, app: Aarq, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._lock = anyio.Lock()
        self._asked_at = float("-inf")
        self._cost = 0.0
        self._latest: Facts | None = None
        self.error: str = ""
        """Why the broker did not answer the latest question."""

    @property
    def answered(self) -> bool | None:
        """Whether the broker has answered the latest question; None if it was not asked for longer than `OLDEST`."""
        if self._clock.monotonic() - self._asked_at > OLDEST + MAX_AGE:
            return None
        return self._latest is not None

    @property
    def latest(self) -> Facts | None:
        """The latest answer; None without one, or if it is too old."""
        return self._latest if self.answered else None

    async def refresh(self) -> None:
        """Ask the broker, unless the latest answer is new enough. Calls at the same time wait for one answer."""
        async with self._lock:
            if self._clock.monotonic() - self._asked_at < min(max(MAX_AGE, self._cost / SHARE), OLDEST):
                return
            began = cpu_time()
            try:
                with anyio.fail_after(TIMEOUT):
                    self._latest = await self._ask()
            except (BrokerUnavailable, OSError) as error:  # TimeoutError is an OSError
                self._latest = None
                self.error = str(error) or f"no answer within {TIMEOUT:g} s"
            self._cost = cpu_time() - began
            self._asked_at = self._clock.monotonic()

    async def _ask(self) -> Facts:
        await self._app.connect()
        broker = self._app.broker
        now = await broker.time()
        queues, others = await self._queues()
        crons = await _reached(lambda: broker.cron_statuses(self._app.name)) if supports(broker, TickLedger) else None
        return Facts(
            now=now,
            queues=queues,
            others=others,
            latencies=await self._latencies(queues, now),
            stops=await _reached(broker.list_stops) if supports(broker, QueueControl) else None,
            workers=await self._workers(),
            crons=None if crons is None else [status for status in crons if status.retired_at is None],
            overdue=self._overdue(crons or (), now),
        )

    async def _queues(self) -> tuple[Mapping[str, QueueStats] | None, Sequence[QueueStats]]:
        broker = self._app.broker
        if not supports(broker, JobStore):
            return None, ()
        own = set(self._app.queues)
        found = sorted(await _reached(broker.queue_stats), key=lambda stats: (stats.queue not in own, stats.queue))
        return {stats.queue: stats for stats in found[:MAX_QUEUES]}, found[MAX_QUEUES:]

    async def _latencies(self, queues: Mapping[str, QueueStats] | None, now: float) -> Mapping[str, float]:
        broker = self._app.broker
        latencies = dict.fromkeys(queues or (), 0.0)
        if supports(broker, JobStore):
            for stats in (queues or {}).values():
                try:
                    jobs = await broker.list_jobs(stats.queue, JobState.PENDING, limit=1) if stats.pending else []
                except BrokerUnavailable:  # this queue alone, or the next call raises it again
                    continue
                latencies[stats.queue] = max([0.0, *(now - (job.run_at or now) for job in jobs)])
        return latencies

    async def _workers(self) -> Sequence[WorkerInfo] | None:
        broker = self._app.broker
        if not supports(broker, WorkerRegistry):
            return None
        # Workers of other apps may consume the same queues, and have metrics of their own.
        return [worker for worker in await broker.list_workers() if worker.app in ("", self._app.name)]

    def _overdue(self, statuses: Iterable[CronStatus], now: float) -> Mapping[CronKey, float]:
        by_key = {status.definition.key: status for status in statuses}
        moment = datetime.fromtimestamp(now, UTC)
        entries = [entry for entry in self._app.crons if entry.key in by_key][:MAX_ENTRIES]
        return {entry.key: _overdue_for(entry, by_key[entry.key], moment) for entry in entries}


def _overdue_for(entry: CronEntry, status: CronStatus, now: datetime) -> float:
    try:
        tick = overdue(entry, status, now)
    except Exception:  # a schedule may be the user's own code
        return 0.0
    return 0.0 if tick is None else (now - tick).total_seconds()


async def _reached(call: Callable[[], Awaitable[list[T]]]) -> list[T]:
    """Return the answer of a call; that of the queues that can be reached if some cannot."""
    try:
        return await call()
    except PartlyUnavailable as error:
        answer: list[T] = error.answer
        return answer
