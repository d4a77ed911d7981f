"""Returns the jobs of crashed workers to their queues."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from aioq.clock import pass_time
from aioq.errors import PartlyUnavailable
from aioq.events import JobEvent, JobFact
from aioq.model.job import Reaped
from aioq.model.states import JobState
from aioq.worker.heartbeat import Heartbeat
from aioq.worker.log import logger, shown
from aioq.worker.runtime import Runtime
from aioq.worker.settler import Settler
from aioq.worker.shutdown import race

__all__ = ["Reaper"]

MAX_REAPED = 100
"""Jobs of one queue that one call reaps. A call that reaches it is followed by the next one without a pause."""

REPORT_WAIT = 2.0
"""Seconds to wait for reports after an outage: longer than the pauses between their repetitions.

It is limited because a report that the broker rejects is repeated without end.
"""

MAX_NAMED = 3
"""Ids of jobs in a log line; the others are counted."""


class Reaper:
    """Looks for expired leases three times per lease, at random intervals, so that workers do not do it in step.

    It never takes back a lease that this worker holds: if the worker could not extend its leases for a while, because
    the broker was away or the event loop blocked, the reaper first lets it report its outcomes, and extends the rest.
    """

    def __init__(self, runtime: Runtime, heartbeat: Heartbeat, settler: Settler) -> None:
        self._broker = runtime.app.broker
        self._counts = runtime.app.counts
        self._events = runtime.app.events
        self._worker_id = runtime.worker_id
        self._retry = runtime.retry
        self._queues = runtime.queues
        self._clock = runtime.clock
        self._lease = runtime.lease
        self._heartbeat = heartbeat
        self._settler = settler

    async def run(self) -> None:
        """Reap at once and then regularly, until cancelled."""
        while True:
            reaped = await self._reap_all()
            _log_reaped(reaped)
            self._counts.add_reaped(reaped)
            for job in reaped:
                self._tell(job)
            await self._clock.sleep(self._lease / 3 * random.uniform(0.75, 1.25))

    async def _reap_all(self) -> list[Reaped]:
        reaped: list[Reaped] = []
        while True:
            batch = await self._retry.call(self._reap)
            reaped += batch
            if len(batch) < MAX_REAPED:  # else more may be waiting
                return reaped

    async def _reap(self) -> list[Reaped]:
        # First the leases: their extension shows that the broker answers, so that the wait for reports is no part of
        # an outage.
        queues = await self._extend_if_overdue()
        # No pause here without reports: a job could start in it and block the event loop until its lease has run out.
        if self._settler.has_reports:
            # A job that has ended must not be taken back because its report waits.
            await race(partial(self._settler.wait_flushed, held=False), partial(pass_time, self._clock, REPORT_WAIT))
            queues = await self._extend_if_overdue()
        try:
            return await self._broker.reap(queues, lease=self._lease, limit=MAX_REAPED)
        except PartlyUnavailable as error:
            # The claims log it, and ask these queues again sooner than the next reaping.
            reaped: list[Reaped] = error.answer
            return reaped

    def _tell(self, job: Reaped) -> None:
        """Fire the event of a job that was taken from another worker."""
        event = JobEvent.DEAD if job.state is JobState.DEAD else JobEvent.RELEASED
        if event in self._events.listeners:
            fact = JobFact(
                event=event, job_id=job.job_id, queue=job.queue, task=job.task, at=self._clock.time(),
                worker_id=job.worker_id, reason="crashed" if job.crashed else "cut off", by=self._worker_id,
            )  # fmt: skip
            self._events.fire(fact)

    async def _extend_if_overdue(self) -> Sequence[str]:
        """Extend what this worker holds if that is overdue; return the queues without a lease that may have run out.

        Raises:
            Exception: The leases of no queue could be extended.
        """
        if not self._heartbeat.overdue():
            return list(self._queues)
        errors = await self._heartbeat.extend_now()
        queues = [queue for queue in self._queues if queue not in errors]
        if not queues:
            raise next(iter(errors.values()))
        return queues


def _log_reaped(reaped: Iterable[Reaped]) -> None:
    """Log what happened to the jobs of each worker: one line for those that run again, one for those that are dead."""
    groups: defaultdict[tuple[str, bool, bool], list[Reaped]] = defaultdict(list)
    for job in reaped:
        groups[job.worker_id, job.crashed, job.state is JobState.DEAD].append(job)
    for (worker_id, crashed, dead), jobs in groups.items():
        why = "crashed or was cut off" if crashed else "was cut off from the broker with all others, which is no crash"
        logger.log(
            logging.ERROR if dead else logging.WARNING,
            "worker %s %s: %s %s",
            shown(worker_id) if worker_id else "of an unknown id",
            why,
            _named(jobs),
            "dead, after the last crash that max_crashes allows" if dead else "back in the queue",
            # The worker that lost them, and not this one.
            extra={
                "event": "jobs_reaped",
                "worker_id": worker_id,
                "job_ids": [job.job_id for job in jobs],
                "queues": [job.queue for job in jobs],
            },
        )


def _named(jobs: list[Reaped]) -> str:
    """Return the number of jobs and the first ids, with a verb."""
    names = ", ".join(shown(job.job_id) for job in jobs[:MAX_NAMED])
    if len(jobs) == 1:
        return f"job {names} is"
    more = f" and {len(jobs) - MAX_NAMED} more" if len(jobs) > MAX_NAMED else ""
    return f"{len(jobs)} jobs ({names}{more}) are"
