"""One queue of the memory broker: what is due by priority, and what is yet to come."""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from aioq.model.job import SUSPECT_AFTER, Failure, JobRecord, Lease, NewJob
from aioq.model.states import JobState, Verb, after
from aioq.options import latest_start

__all__ = ["Line", "StoredJob"]

PRIORITIES = 10

WAITING = (JobState.SCHEDULED, JobState.RETRYING)
"""States of jobs whose time has yet to come."""


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

    @property
    def suspect(self) -> bool:
        """Whether it has crashed so often that it runs alone."""
        return self.crashes >= SUSPECT_AFTER

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
            expires_at=latest_start(
                self.enqueued_at,
                expires=job.expires,
                delay=job.delay,
                run_at=job.run_at,
                expires_at=job.expires_at,
            ),
        )

    def record(self) -> JobRecord:
        """Return what is known of the job."""
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
            run_at=self.run_at if self.state in WAITING else None,
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

    A job that is called off leaves its entry in the heap, which is passed over.
    """

    ready: list[OrderedDict[str, StoredJob]] = field(default_factory=lambda: [OrderedDict() for _ in range(PRIORITIES)])
    suspects: OrderedDict[str, StoredJob] = field(default_factory=OrderedDict[str, StoredJob])
    accused: bool = False
    """Whether a suspect has come since the latest claim."""
    later: list[tuple[float, int, StoredJob]] = field(default_factory=list[tuple[float, int, StoredJob]])
    leased: dict[str, StoredJob] = field(default_factory=dict[str, StoredJob])
    counts: Counter[JobState] = field(default_factory=Counter[JobState])
    _sequence: int = 0
    _called_off: int = 0

    def admit(self, stored: StoredJob) -> None:
        """Take in a new job, due or not."""
        self.counts[stored.state] += 1
        self.place(stored)

    def place(self, stored: StoredJob, *, front: bool = False) -> None:
        """Put a waiting job where its state says it belongs."""
        if stored.state in WAITING:
            self._sequence += 1
            heapq.heappush(self.later, (stored.run_at, self._sequence, stored))
            return
        if stored.suspect:
            self.suspects[stored.job.id] = stored
            self.accused = True
            return
        ready = self.ready[stored.job.priority]
        ready[stored.job.id] = stored
        ready.move_to_end(stored.job.id, last=not front)

    def move(self, stored: StoredJob, verb: Verb) -> None:
        """Change a job's state as the table of states allows, and keep the counts right.

        Raises:
            IllegalTransition: The table does not have this move.
        """
        source, target = stored.state, after(stored.state, verb)
        stored.state = target
        self.counts[source] -= 1
        self.counts[target] += 1
        if source is JobState.RUNNING:
            del self.leased[stored.job.id]
        elif source is JobState.PENDING:
            del (self.suspects if stored.suspect else self.ready[stored.job.priority])[stored.job.id]
        if target is JobState.RUNNING:
            self.leased[stored.job.id] = stored
        elif target is JobState.CANCELLED and source in WAITING:
            self._clear_out()

    def forget(self, stored: StoredJob) -> None:
        """Take a job out of the counts for good."""
        self.counts[stored.state] -= 1

    def take(self) -> StoredJob | None:
        """Return the next due job that is no suspect, and call it claimed."""
        return next((self._claimed(ready) for ready in reversed(self.ready) if ready), None)

    def take_suspect(self) -> StoredJob:
        """Return the suspect that waits longest, and call it claimed."""
        return self._claimed(self.suspects)

    def has_work(self) -> bool:
        """Whether somebody had better look: there are due jobs, or a suspect that nobody has seen yet."""
        return any(self.ready) or self.accused

    def _claimed(self, line: OrderedDict[str, StoredJob]) -> StoredJob:
        stored = next(iter(line.values()))
        self.move(stored, Verb.CLAIM)
        return stored

    def promote(self, now: float) -> None:
        """Move jobs whose time has come to the end of their priority."""
        while (due := self.next_due()) is not None and due <= now:
            stored = heapq.heappop(self.later)[2]
            self.move(stored, Verb.DUE)
            self.place(stored)

    def next_due(self) -> float | None:
        """Return the earliest moment at which a scheduled job comes due."""
        while self.later and not _is_current(self.later[0]):
            heapq.heappop(self.later)
            self._called_off -= 1
        return self.later[0][0] if self.later else None

    def waiting(self) -> Iterator[StoredJob]:
        """Yield pending jobs in the order in which they will run."""
        yield from self.suspects.values()
        for ready in reversed(self.ready):
            yield from ready.values()

    def _clear_out(self) -> None:
        """Note that one more job in the heap was called off; drop such jobs once they are the most of it."""
        self._called_off += 1
        if self._called_off > len(self.later) // 2:
            self.later = [entry for entry in self.later if _is_current(entry)]
            heapq.heapify(self.later)
            self._called_off = 0


def _is_current(entry: tuple[float, int, StoredJob]) -> bool:
    """Whether a job still waits for the moment of its entry: it may have been called off since."""
    run_at, _, stored = entry
    return stored.state in WAITING and stored.run_at == run_at
