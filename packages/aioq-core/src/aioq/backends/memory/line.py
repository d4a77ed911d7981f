"""One queue of the memory broker: what is due by priority, and what is yet to come."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from aioq.job import Failure, JobRecord, Lease, NewJob
from aioq.states import JobState, Verb, after

__all__ = ["Line", "StoredJob"]

PRIORITIES = 10


@dataclass(slots=True, eq=False)
class StoredJob:
    """A job and everything that has happened to it."""

    job: NewJob
    enqueued_at: float
    state: JobState
    run_at: float = 0.0
    epoch: int = 0
    attempt: int = 0
    crashes: int = 0
    deadline: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    worker_id: str | None = None
    result: bytes | None = None
    failure: Failure | None = None
    reason: str | None = None

    def lease(self) -> Lease:
        """Return the lease of the current epoch."""
        job = self.job
        return Lease(
            job_id=job.id,
            queue=job.queue,
            epoch=self.epoch,
            task=job.task,
            payload=job.payload,
            attempt=self.attempt,
            crashes=self.crashes,
            priority=job.priority,
            enqueued_at=self.enqueued_at,
        )

    def record(self) -> JobRecord:
        """Return what is known of the job."""
        waits = self.state in (JobState.SCHEDULED, JobState.RETRYING)
        job = self.job
        return JobRecord(
            id=job.id,
            queue=job.queue,
            task=job.task,
            state=self.state,
            payload=job.payload,
            priority=job.priority,
            attempt=self.attempt,
            crashes=self.crashes,
            enqueued_at=self.enqueued_at,
            run_at=self.run_at if waits else None,
            started_at=self.started_at,
            finished_at=self.finished_at,
            worker_id=self.worker_id,
            result=self.result,
            failure=self.failure,
            reason=self.reason,
        )


@dataclass(slots=True, eq=False)
class Line:
    """The waiting jobs of one queue, and a count of all its jobs by state.

    Jobs that leave out of turn stay in the deques and the heap, and are passed over when
    they come up: the job's own state is what counts.
    """

    ready: list[deque[StoredJob]] = field(default_factory=lambda: [deque() for _ in range(PRIORITIES)])
    later: list[tuple[float, int, StoredJob]] = field(default_factory=list)
    leased: dict[str, StoredJob] = field(default_factory=dict)
    counts: Counter[JobState] = field(default_factory=Counter)
    _sequence: int = 0

    def admit(self, stored: StoredJob) -> None:
        """Take in a new job, due or not."""
        self.counts[stored.state] += 1
        self.place(stored)

    def place(self, stored: StoredJob, *, front: bool = False) -> None:
        """Put a waiting job where its state says it belongs."""
        if stored.state is JobState.PENDING:
            line = self.ready[stored.job.priority]
            (line.appendleft if front else line.append)(stored)
        else:
            self._sequence += 1
            heapq.heappush(self.later, (stored.run_at, self._sequence, stored))

    def move(self, stored: StoredJob, verb: Verb) -> None:
        """Change a job's state as the table of states allows, and keep the counts right.

        Raises:
            IllegalTransition: The table does not have this move.
        """
        target = after(stored.state, verb)
        self.counts[stored.state] -= 1
        self.counts[target] += 1
        stored.state = target
        if verb is not Verb.CLAIM:
            self.leased.pop(stored.job.id, None)

    def forget(self, stored: StoredJob) -> None:
        """Take a job out of the counts for good."""
        self.counts[stored.state] -= 1

    def take(self) -> StoredJob | None:
        """Remove and return the next due job."""
        for line in reversed(self.ready):
            while line:
                stored = line.popleft()
                if stored.state is JobState.PENDING:
                    return stored
        return None

    def promote(self, now: float) -> None:
        """Move jobs whose time has come to the end of their priority."""
        while self.later and self.later[0][0] <= now:
            run_at, _, stored = heapq.heappop(self.later)
            if self._still_later(run_at, stored):
                self.move(stored, Verb.DUE)
                self.place(stored)

    def next_due(self) -> float | None:
        """Return the earliest moment at which a scheduled job comes due."""
        while self.later and not self._still_later(self.later[0][0], self.later[0][2]):
            heapq.heappop(self.later)
        return self.later[0][0] if self.later else None

    def waiting(self) -> Iterator[StoredJob]:
        """Yield pending jobs in the order in which they will run."""
        seen: set[str] = set()
        for line in reversed(self.ready):
            for stored in line:
                if stored.state is JobState.PENDING and stored.job.id not in seen:
                    seen.add(stored.job.id)
                    yield stored

    @staticmethod
    def _still_later(run_at: float, stored: StoredJob) -> bool:
        return stored.state in (JobState.SCHEDULED, JobState.RETRYING) and stored.run_at == run_at
