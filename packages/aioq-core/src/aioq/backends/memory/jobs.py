"""Stores the jobs of the memory broker, and answers questions about them."""

from __future__ import annotations

import heapq
from collections import defaultdict
from itertools import islice

from aioq.backends.memory.failures import FailureList
from aioq.backends.memory.queue import JobQueue, StoredJob
from aioq.backends.memory.waiters import Waiters
from aioq.clock import SteadyClock
from aioq.model.failures import FAILURE_STATES, failure_id_of
from aioq.model.job import AttemptOutcome, CancelledRun, JobKey, JobRecord, NewJob, QueueStats
from aioq.model.states import FINAL_STATES, JobState, Verb
from aioq.model.suspects import CrashHistory

__all__ = ["JobStoreRole", "JobTable", "MemoryRole"]

CANCELLED_TTL = 86_400.0
"""Seconds that cancelled jobs are kept."""


class JobTable:
    """Holds all jobs, moves them from state to state, and wakes the waiters.

    Attributes:
        jobs: All jobs.
        queues: The jobs of each queue that have not ended, and counts of all its jobs.
        failures: The listed failures of each queue.
        expiry: A heap of (when to forget, key of the job, when it ended). A job that was replayed and ended
            again has a second item; the first no longer matches its `finished_at` and is ignored.
        waiters: Clients and workers that wait for a change.
    """

    def __init__(self, clock: SteadyClock, waiters: Waiters) -> None:
        self._clock = clock
        self.waiters = waiters
        self.jobs: dict[JobKey, StoredJob] = {}
        self.queues: defaultdict[str, JobQueue] = defaultdict(JobQueue)
        self.expiry: list[tuple[float, JobKey, float]] = []
        self.failures: defaultdict[str, FailureList] = defaultdict(FailureList)

    def now(self) -> float:
        """Drop records whose retention is over, and return the broker's clock."""
        now = self._clock.time()
        # Every method reads the clock first, so no timer is needed, and no answer shows a record that is over.
        while self.expiry and self.expiry[0][0] <= now:
            _, key, finished_at = heapq.heappop(self.expiry)
            stored = self.jobs.get(key)
            if stored and stored.finished_at == finished_at and stored.state in FINAL_STATES:
                self._forget(stored)
        return now

    def find(self, queue: str, job_id: str) -> StoredJob | None:
        """Return a job; None if it is unknown."""
        self.now()
        return self.jobs.get((queue, job_id))

    def add(self, job: NewJob, now: float) -> None:
        """Store a new job."""
        run_at = now + job.delay if job.run_at is None else job.run_at
        state = JobState.SCHEDULED if run_at > now else JobState.PENDING
        stored = StoredJob(job=job, enqueued_at=now, state=state, run_at=run_at)
        self.jobs[job.key] = stored
        queue = self.queues[job.queue]
        queue.promote(now)  # jobs that came due earlier must stand before this one
        queue.add(stored)
        self.wake_workers(job.queue)

    def requeue(self, stored: StoredJob, verb: Verb, *, delay: float = 0.0) -> None:
        """Put a job back into its queue, due after `delay` seconds."""
        queue = self.queues[stored.job.queue]
        now = self._clock.time()
        queue.promote(now)
        stored.run_at = now + delay
        queue.move(stored, verb)
        # It had its turn already: behind the others, a deploy under load would delay released jobs for long.
        queue.place(stored, front=verb in (Verb.RELEASE, Verb.REAP))
        self.wake_workers(stored.job.queue)

    def bring_forward(self, stored: StoredJob) -> bool:
        """Let a job that waits for its retry be due now; return False if its time has come already."""
        queue, now = self.queues[stored.job.queue], self._clock.time()
        queue.promote(now)
        if stored.state is not JobState.RETRYING:
            return False
        queue.bring_forward(stored, now)
        self.wake_workers(stored.job.queue)
        return True

    def end(self, stored: StoredJob, verb: Verb, *, retain_for: float) -> None:
        """End a job, and keep its record for `retain_for` seconds."""
        now = self._clock.time()
        self.queues[stored.job.queue].move(stored, verb)
        stored.finished_at = now
        if stored.state in FAILURE_STATES:
            self.failures[stored.job.queue].add(stored)
        if retain_for > 0:
            heapq.heappush(self.expiry, (now + retain_for, stored.job.key, now))
        else:
            self._forget(stored)
        self.waiters.wake("result", stored.job.key)

    def wake_workers(self, queue: str) -> None:
        """Wake the workers that wait for jobs of a queue."""
        if not self.queues[queue].pause:
            self.waiters.wake("work", queue)

    def replay(self, stored: StoredJob) -> None:
        """Put an ended job back into its queue, as if it were new."""
        self.failures[stored.job.queue].remove([failure_id_of(stored.job.id, stored.enqueued_at)])
        # The epoch goes on: a late report of an earlier run must not settle the new one.
        stored.attempt = 0
        stored.history = CrashHistory()
        stored.note_start()
        stored.finished_at = None
        stored.reason = None
        self.requeue(stored, Verb.REPLAY)

    def restore(self, stored: StoredJob) -> None:
        """Store an ended job again whose retention is over."""
        if stored.job.key not in self.jobs:
            self.jobs[stored.job.key] = stored
            self.queues[stored.job.queue].counts[stored.state] += 1

    def failures_of(self, queue: str) -> FailureList:
        """Return the failures of a queue that are still to be listed."""
        self.failures[queue].prune(self.now())
        return self.failures[queue]

    def _forget(self, stored: StoredJob) -> None:
        self.queues[stored.job.queue].forget(stored)
        del self.jobs[stored.job.key]


class MemoryRole:
    """Base of the classes that `MemoryBroker` consists of. They share one table of jobs."""

    def __init__(self, table: JobTable) -> None:
        self._table = table


class JobStoreRole(MemoryRole):
    """Implements `aioq.protocols.JobStore`."""

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Return the record of a job; see `aioq.protocols.JobStore.get_job`."""
        stored = self._table.find(queue, job_id)
        return stored.record() if stored else None

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one state; see `aioq.protocols.JobStore.list_jobs`."""
        self._table.now()
        if state is JobState.PENDING:
            found = self._table.queues[queue].waiting()
        else:
            found = iter(sorted(self._in_state(queue, state), key=lambda s: (s.run_at, s.started_at or 0.0)))
        return [stored.record() for stored in islice(found, offset, offset + limit)]

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first; see `aioq.protocols.JobStore.list_dead_jobs`."""
        self._table.now()
        dead = self._in_state(queue, JobState.DEAD)
        dead.sort(key=lambda s: s.finished_at or 0.0, reverse=True)
        return [stored.record() for stored in dead[offset : offset + limit]]

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue; see `aioq.protocols.JobStore.queue_stats`."""
        self._table.now()
        return [
            QueueStats(
                queue=name,
                pending=queue.counts[JobState.PENDING],
                scheduled=queue.counts[JobState.SCHEDULED] + queue.counts[JobState.RETRYING],
                running=queue.counts[JobState.RUNNING],
                dead=queue.counts[JobState.DEAD],
                expired=queue.counts[JobState.EXPIRED],
                failures=len(self._table.failures_of(name)),
            )
            for name, queue in sorted(self._table.queues.items())
            if queue.counts
        ]

    async def cancel_job(self, job_id: str, *, queue: str) -> bool:
        """Cancel a job; see `aioq.protocols.JobStore.cancel_job`."""
        stored = self._table.find(queue, job_id)
        if stored is None or stored.state in FINAL_STATES:
            return False
        # Before `end`, after which the state no longer says that a worker runs it.
        worker_id = stored.worker_id if stored.state is JobState.RUNNING else None
        if worker_id is not None:
            stored.note_unsettled(AttemptOutcome.CANCELLED, until=self._table.now())
        self._table.end(stored, Verb.CANCEL, retain_for=CANCELLED_TTL)
        if worker_id is not None:
            run = CancelledRun(job_id=job_id, queue=queue, epoch=stored.epoch, enqueued_at=stored.enqueued_at)
            self._table.waiters.abort(worker_id, run)
        return True

    async def retry_job(self, job_id: str, *, queue: str) -> bool:
        """Let a job run again; see `aioq.protocols.JobStore.retry_job`."""
        stored = self._table.find(queue, job_id)
        if stored is not None and stored.state is JobState.RETRYING:
            return self._table.bring_forward(stored)
        # A completed job has had its effect: to run it again takes a new job.
        if stored is None or stored.state not in FINAL_STATES - {JobState.COMPLETED}:
            return False
        self._table.replay(stored)
        return True

    def _in_state(self, queue: str, state: JobState) -> list[StoredJob]:
        return [s for s in self._table.jobs.values() if s.job.queue == queue and s.state is state]
