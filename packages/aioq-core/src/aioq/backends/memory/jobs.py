"""All jobs of the memory broker, each in the line of its queue, and when those that ended are forgotten."""

from __future__ import annotations

import heapq
from collections import defaultdict

from aioq.backends.memory.queue import Line, StoredJob
from aioq.backends.memory.waiters import Wakes
from aioq.clock import SteadyClock
from aioq.model.job import NewJob
from aioq.model.states import FINAL_STATES, JobState, Verb

__all__ = ["Store"]


class Store:
    """Moves jobs from state to state, and wakes those who wait for that.

    Attributes:
        jobs: All of them, by id.
        lines: Those of each queue that have not ended, and how many there are by state.
        expiry: A heap of when which job is to be forgotten, and which end of it is meant.
    """

    def __init__(self, clock: SteadyClock, wakes: Wakes) -> None:
        self._clock, self._wakes = clock, wakes
        self.jobs: dict[str, StoredJob] = {}
        self.lines: defaultdict[str, Line] = defaultdict(Line)
        self.expiry: list[tuple[float, str, float]] = []

    def now(self) -> float:
        """Return the broker's clock, having dropped the records whose time is up."""
        now = self._clock.time()
        while self.expiry and self.expiry[0][0] <= now:
            _, job_id, finished_at = heapq.heappop(self.expiry)
            stored = self.jobs.get(job_id)
            if stored and stored.finished_at == finished_at and stored.state in FINAL_STATES:
                self._forget(stored)
        return now

    def find(self, job_id: str, queue: str | None) -> StoredJob | None:
        """Return a job, if it is of the queue, should one be named."""
        self.now()
        stored = self.jobs.get(job_id)
        return stored if stored and queue in (None, stored.job.queue) else None

    def admit(self, job: NewJob, now: float) -> None:
        """Take in a new job."""
        run_at = now + job.delay if job.run_at is None else job.run_at
        state = JobState.SCHEDULED if run_at > now else JobState.PENDING
        stored = StoredJob(job=job, enqueued_at=now, state=state, run_at=run_at)
        self.jobs[job.id] = stored
        line = self.lines[job.queue]
        line.promote(now)  # what came due before this one goes before it
        line.admit(stored)
        self._wakes.wake("work", job.queue)

    def requeue(self, stored: StoredJob, verb: Verb, *, delay: float = 0.0) -> None:
        """Put a job back in line, or let it wait for so many seconds first."""
        line, now = self.lines[stored.job.queue], self._clock.time()
        line.promote(now)
        stored.run_at = now + delay
        line.move(stored, verb)
        line.place(stored, front=verb in (Verb.RELEASE, Verb.REAP))
        self._wakes.wake("work", stored.job.queue)

    def end(self, stored: StoredJob, verb: Verb, *, keep: float) -> None:
        """End a job, and keep its record for so many seconds."""
        now = self._clock.time()
        self.lines[stored.job.queue].move(stored, verb)
        stored.finished_at = now
        if keep > 0:
            heapq.heappush(self.expiry, (now + keep, stored.job.id, now))
        else:
            self._forget(stored)
        self._wakes.wake("result", stored.job.id)

    def _forget(self, stored: StoredJob) -> None:
        self.lines[stored.job.queue].forget(stored)
        del self.jobs[stored.job.id]
