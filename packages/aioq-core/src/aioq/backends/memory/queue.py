"""Orders the jobs of one queue of the memory broker: due ones by priority, scheduled ones by time."""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec import Struct, structs

from aioq.model.attempts import add_attempt
from aioq.model.job import Attempt, AttemptOutcome, Failure, JobRecord, Lease, NewJob
from aioq.model.outage import SignsOfLife
from aioq.model.states import JobState, Verb, after
from aioq.model.stops import Stop
from aioq.model.suspects import SUSPECT_AFTER, CrashHistory, Room
from aioq.options import latest_start

__all__ = ["JobQueue", "StoredJob"]

PRIORITIES = 10

WAITING = (JobState.SCHEDULED, JobState.RETRYING)
"""States of jobs that are not due yet."""


class StoredJob(Struct, eq=False, kw_only=True):
    """A job and its history."""

    job: NewJob
    enqueued_at: float
    state: JobState
    run_at: float = 0.0
    epoch: int = 0
    attempt: int = 0
    history: CrashHistory = CrashHistory()
    alone: bool = False
    """Whether it was claimed as the only job of its worker that was not cleared."""
    ran: float = 0.0
    """How long it is known to have run when its worker crashed; 0 if that is not what it waits for."""
    deadline: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    worker_id: str | None = None
    result: bytes | None = None
    failure: Failure | None = None
    reason: str | None = None
    may_expire: bool = True
    """False once it was started or replayed."""
    hand_backs: int = 0
    attempts: tuple[Attempt, ...] = ()

    def note_start(self) -> None:
        """Note that the job was started, or is to run however late it is."""
        self.may_expire = False
        self.hand_backs = 0

    def note_unsettled(self, outcome: AttemptOutcome, *, until: float) -> None:
        """Note the end of an attempt that no worker settled."""
        started_at = self.started_at or 0.0
        attempt = Attempt(
            number=self.attempt,
            worker_id=self.worker_id or "",
            started_at=started_at,
            duration=max(until - started_at, 0.0),
            outcome=outcome,
        )
        self.attempts = add_attempt(self.attempts, attempt)

    @property
    def crashes(self) -> int:
        """The crashes that count."""
        return self.history.crashes

    @property
    def suspect(self) -> bool:
        """Whether it has crashed `SUSPECT_AFTER` times and so has to run alone."""
        return self.crashes >= SUSPECT_AFTER

    @property
    def rank(self) -> tuple[bool, float, str]:
        """Its place among the jobs that have crashed: the smallest is claimed first."""
        # Of jobs that crashed together, those first that had run for the shortest time: to start them harms the fewest.
        time = -(self.started_at or 0.0) if self.suspect else self.run_at + self.ran
        return not self.suspect, time, self.job.id

    def lease(self) -> Lease:
        """Return the lease of the current epoch."""
        job = self.job
        # Without the headers, which few jobs have: a call with more than 15 keywords takes Python three times as long.
        lease = Lease(
            job_id=job.id,
            queue=job.queue,
            epoch=self.epoch,
            worker_id=self.worker_id or "",
            task=job.task,
            payload=job.payload,
            attempt=self.attempt,
            crashes=self.crashes,
            priority=job.priority,
            enqueued_at=self.enqueued_at,
            probation=self.history.probation,
            expires_at=self._latest_start() if self.may_expire else None,
            max_crashes=job.max_crashes,
            hand_backs=self.hand_backs,
            wait=max(0.0, (self.started_at or 0.0) - max(self.run_at, self.enqueued_at)),
        )
        return lease if job.headers is None else structs.replace(lease, headers=job.headers)

    def _latest_start(self) -> float | None:
        job = self.job
        return latest_start(
            self.enqueued_at, expires=job.expires, delay=job.delay, run_at=job.run_at, expires_at=job.expires_at
        )

    def record(self) -> JobRecord:
        """Return the public record of the job."""
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
            run_at=max(self.run_at, self.enqueued_at) if self.state in (*WAITING, JobState.PENDING) else None,
            started_at=self.started_at,
            finished_at=self.finished_at,
            worker_id=self.worker_id,
            result=self.result,
            failure=self.failure,
            reason=self.reason,
            hand_backs=self.hand_backs,
            attempts=self.attempts,
            headers=job.headers,
        )


Lines: TypeAlias = list[OrderedDict[str, StoredJob]]
"""Due jobs, by priority."""


def _lines() -> Lines:
    return [OrderedDict() for _ in range(PRIORITIES)]


@dataclass(slots=True, eq=False)
class StoppedTask:
    """A stopped task, and its due jobs."""

    stop: Stop
    lines: Lines = field(default_factory=_lines)


@dataclass(slots=True, eq=False)
class JobQueue:
    """The jobs of one queue that have not ended, and counts of all its jobs by state.

    A scheduled job that is cancelled or brought forward leaves its item in the heap `scheduled`. Such items are
    ignored.
    """

    # One per priority, not a heap: jobs are cancelled from the middle, and released ones go to the front.
    ready: Lines = field(default_factory=_lines)
    crashed: dict[str, StoredJob] = field(default_factory=dict[str, StoredJob])
    """Due jobs that have crashed: suspects and observed jobs."""
    has_new_suspect: bool = False
    """Whether a suspect was added since the latest claim."""
    room: Room | None = None
    crashed_workers: dict[str, float] = field(default_factory=dict[str, float])
    """When the first crashed job of a worker was noticed, by the worker."""
    scheduled: list[tuple[float, int, StoredJob]] = field(default_factory=list[tuple[float, int, StoredJob]])
    leased: dict[str, StoredJob] = field(default_factory=dict[str, StoredJob])
    counts: Counter[JobState] = field(default_factory=Counter[JobState])
    signs: SignsOfLife | None = None
    pause: Stop | None = None
    stopped: dict[str, StoppedTask] = field(default_factory=dict[str, StoppedTask])
    """The stopped tasks. Their due jobs are in no other collection."""
    _sequence: int = 0
    _outdated: int = 0

    def add(self, stored: StoredJob) -> None:
        """Add a new job, due or not."""
        self.counts[stored.state] += 1
        self.place(stored)

    def place(self, stored: StoredJob, *, front: bool = False) -> None:
        """Put a waiting job into the collection of its state."""
        if stored.state in WAITING:
            # Jobs of one moment keep their order, and the heap never compares jobs.
            self._sequence += 1
            heapq.heappush(self.scheduled, (stored.run_at, self._sequence, stored))
            return
        line = self._line_of(stored)
        line[stored.job.id] = stored
        if line is self.crashed:
            self.has_new_suspect |= stored.suspect
        elif front and isinstance(line, OrderedDict):
            line.move_to_end(stored.job.id, last=False)

    def _line_of(self, stored: StoredJob) -> dict[str, StoredJob]:
        """Return the collection of a due job."""
        if self.stopped and (stopped := self.stopped.get(stored.job.task)):
            return stopped.lines[stored.job.priority]
        return self.crashed if stored.history.crashes else self.ready[stored.job.priority]

    def stop(self, stop: Stop, task: str) -> None:
        """Set the due jobs of a task aside."""
        due = [stored for stored in self.waiting() if stored.job.task == task]
        for stored in due:
            del self._line_of(stored)[stored.job.id]
        self.stopped[task] = StoppedTask(stop)
        for stored in due:
            self.place(stored)

    def restore(self, task: str) -> None:
        """Put the due jobs of a stopped task in front of the others of their priority."""
        for line in self.stopped.pop(task).lines:
            for stored in reversed(line.values()):
                self.place(stored, front=True)

    def move(self, stored: StoredJob, verb: Verb) -> None:
        """Change a job's state as the transition table allows, and update the counts.

        Raises:
            IllegalTransition: The table has no such transition.
        """
        source, target = stored.state, after(stored.state, verb)
        stored.state = target
        self.counts[source] -= 1
        self.counts[target] += 1
        if source is JobState.RUNNING:
            del self.leased[stored.job.id]
        elif source is JobState.PENDING:
            del self._line_of(stored)[stored.job.id]
        if target is JobState.RUNNING:
            self.leased[stored.job.id] = stored
        elif target is JobState.CANCELLED and source in WAITING:
            self._drop_outdated()

    def bring_forward(self, stored: StoredJob, now: float) -> None:
        """Let a job be due now that waits for a later moment."""
        stored.run_at = now
        self.move(stored, Verb.REPLAY)
        self._drop_outdated()
        self.place(stored)

    def forget(self, stored: StoredJob) -> None:
        """Remove a job from the counts."""
        self.counts[stored.state] -= 1

    def take(self) -> StoredJob | None:
        """Claim the next due job that has not crashed."""
        for ready in reversed(self.ready):
            if ready:
                stored = next(iter(ready.values()))
                self.move(stored, Verb.CLAIM)
                return stored
        return None

    def take_crashed(self, number: int, *, suspects: bool) -> list[StoredJob]:
        """Claim up to `number` suspects, or observed jobs, in the order of their ranks."""
        waiting = (stored for stored in self.crashed.values() if stored.suspect is suspects)
        first = sorted(waiting, key=lambda stored: stored.rank)[:number]
        for stored in first:
            self.move(stored, Verb.CLAIM)
        return first

    def count_suspects(self) -> int:
        """Return how many suspects wait."""
        return sum(stored.suspect for stored in self.crashed.values())

    def has_work(self, *, observes: bool) -> bool:
        """Return whether there are due jobs that any worker may take, or a suspect that no claim has seen yet."""
        if self.pause:
            return False
        if any(self.ready) or not self.crashed:  # a new suspect may have been cancelled
            return any(self.ready)
        return self.has_new_suspect or (observes and len(self.crashed) > self.count_suspects())

    def promote(self, now: float) -> None:
        """Move jobs that came due to the end of their priority."""
        while (due := self.next_due()) is not None and due <= now:
            stored = heapq.heappop(self.scheduled)[2]
            self.move(stored, Verb.DUE)
            self.place(stored)

    def next_due(self) -> float | None:
        """Return when the next scheduled job comes due; None without one."""
        while self.scheduled and not _is_current(self.scheduled[0]):
            heapq.heappop(self.scheduled)
            self._outdated -= 1
        return self.scheduled[0][0] if self.scheduled else None

    def waiting(self) -> Iterator[StoredJob]:
        """Yield pending jobs in the order of execution, those of stopped tasks last."""
        yield from sorted(self.crashed.values(), key=lambda stored: stored.rank)
        for lines in (self.ready, *(stopped.lines for stopped in self.stopped.values())):
            for line in reversed(lines):
                yield from line.values()

    def _drop_outdated(self) -> None:
        """Count an item of the heap whose job no longer waits for it; rebuild the heap once most items are such."""
        self._outdated += 1
        # To find one item in the heap takes as long as to rebuild it, so that is done once for many.
        if self._outdated > len(self.scheduled) // 2:
            self.scheduled = [item for item in self.scheduled if _is_current(item)]
            heapq.heapify(self.scheduled)
            self._outdated = 0


def _is_current(item: tuple[float, int, StoredJob]) -> bool:
    """Return whether the job of a heap item still waits for that moment: it may be cancelled or brought forward."""
    run_at, _, stored = item
    return stored.state in WAITING and stored.run_at == run_at
