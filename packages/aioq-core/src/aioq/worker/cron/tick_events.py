"""Fires the events of ticks, with those of the jobs that ticks enqueue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from aioq.clock import Clock
from aioq.counts import JobCounts
from aioq.events import Events, JobEvent, TickEvent, TickFact
from aioq.model.cron import CronKey, TickClaim, TickRecord, TickStatus
from aioq.model.ids import tick_id
from aioq.model.statistics import JobOutcome

__all__ = ["TickEvents"]

NOT_FIRED: Final = {TickStatus.SKIPPED: TickEvent.SKIPPED, TickStatus.MISSED: TickEvent.MISSED}


class TickEvents:
    """Builds facts of ticks for a worker, if they have listeners.

    Args:
        counts: Counts the jobs that ticks enqueue.
        clock: The broker's clock, by which ticks are late.
    """

    def __init__(self, events: Events, counts: JobCounts, worker_id: str, clock: Clock) -> None:
        self._events = events
        self._counts = counts
        self._worker_id = worker_id
        self._clock = clock

    def tell(self, event: TickEvent, key: CronKey, tick: float, **more: Any) -> None:
        """Fire an event of a tick; `more` are fields of its fact."""
        if event in self._events.listeners:
            fact = TickFact(
                event=event, name=key.name, queue=key.queue, tick=tick, at=self._clock.time(),
                worker_id=self._worker_id, **more,
            )  # fmt: skip
            self._events.fire(fact)

    def fired(self, key: CronKey, tick: float, *, job_id: str = "") -> None:
        """Tell that a tick fires now."""
        self.tell(TickEvent.FIRED, key, tick, late=max(0.0, self._clock.time() - tick), job_id=job_id)

    def enqueued(self, claim: TickClaim, ticks: Iterable[float]) -> None:
        """Tell that the broker has fired ticks of a schedule by storing their jobs."""
        if claim.job is None or self._events.listeners.keys().isdisjoint((TickEvent.FIRED, JobEvent.ENQUEUED)):
            return
        for tick in ticks:
            job = replace(claim.job, id=tick_id(claim.name, tick), queue=claim.queue)
            self._counts.add(job.queue, job.task, JobOutcome.ENQUEUED)
            self.fired(CronKey(claim.queue, claim.name), tick, job_id=job.id)
            if JobEvent.ENQUEUED in self._events.listeners:
                self._events.fire_enqueued([job], [True], at=self._clock.time())

    def not_fired(self, record: TickRecord) -> None:
        """Tell what the record of skipped or missed ticks says."""
        if (event := NOT_FIRED.get(record.status)) is not None:
            key = CronKey(record.queue, record.name)
            self.tell(event, key, record.tick, count=record.count, reason=str(record.reason))
