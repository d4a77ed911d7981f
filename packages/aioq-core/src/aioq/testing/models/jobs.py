"""A model of a broker with any number of jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from aioq.model.job import (
    ClaimRequest,
    Completed,
    Dead,
    Expired,
    Failed,
    HandedBack,
    JobKey,
    Lease,
    NewJob,
    Released,
    Retried,
    Settlement,
)
from aioq.model.outage import SignsOfLife, forgives, note_extended, note_sign, reapable
from aioq.model.states import JobState
from aioq.model.suspects import EXCUSE_WINDOW, SUSPECT_AFTER, CrashHistory, after_crash

__all__ = ["CANCELLED_KEEP", "WAITING", "JobModel", "ModelJob"]

DEAD_KEEP, CANCELLED_KEEP = 7 * 86_400.0, 86_400.0
WAITING = (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)


@dataclass
class ModelJob:
    """The model's state of a job."""

    job: NewJob
    life: int
    """The number of the job among the successive jobs with this id in this queue."""
    state: JobState
    due_at: float
    place: tuple[float, int]
    """Its place among the due jobs of its queue and priority."""
    epoch: int = 0
    attempt: int = 0
    history: CrashHistory = field(default_factory=CrashHistory)
    alone: bool = False
    claimed_at: float = 0.0
    deadline: float = 0.0
    worker_id: str = ""
    result: bytes | None = None
    reason: str | None = None
    forget_at: float = float("inf")
    settled: set[int] = field(default_factory=set[int])
    """Epochs that ended with a settlement."""
    may_expire: bool = True
    hand_backs: int = 0

    def note_start(self) -> None:
        """Note that it was started or replayed."""
        self.may_expire = False
        self.hand_backs = 0

    @property
    def crashes(self) -> int:
        """The crashes that count."""
        return self.history.crashes

    @property
    def suspect(self) -> bool:
        """Whether it runs alone."""
        return self.crashes >= SUSPECT_AFTER


class JobModel:
    """The rules of a broker in their simplest form.

    Args:
        finds_poison_jobs: Whether the broker finds the job that crashes its workers. If not, it only counts crashes,
            and leases jobs that have crashed like others.
    """

    def __init__(self, *, finds_poison_jobs: bool = True) -> None:
        self.finds_poison_jobs = finds_poison_jobs
        self.now = 0.0
        self.jobs: dict[JobKey, ModelJob] = {}
        self.requests: dict[str, tuple[ClaimRequest, list[tuple[Lease, int]]]] = {}
        self.lives: Counter[JobKey] = Counter()
        self.signs: dict[str, SignsOfLife] = {}
        self.crashed: dict[tuple[str, str], float] = {}
        """When the crash of a worker was noticed first, by queue and worker."""
        self.paused: set[str] = set()
        """The queues that a person has paused."""
        self.stopped: set[tuple[str, str]] = set()
        """The tasks that a person has stopped, each with its queue."""
        self._sequence = count(1)

    def boundaries(self) -> Iterable[float]:
        """Return the moments at which an answer changes without a call."""
        for signs in self.signs.values():
            yield signs.next_by
            yield signs.wait_until
        for job in self.jobs.values():
            if job.state in WAITING:
                yield job.due_at
            elif job.state is JobState.RUNNING:
                yield job.deadline
            else:
                yield job.forget_at

    def forget(self) -> None:
        """Drop the records whose retention is over."""
        self.jobs = {key: job for key, job in self.jobs.items() if job.forget_at > self.now}

    def enqueue(self, jobs: list[NewJob]) -> list[bool] | None:
        """Return which jobs are new; None if there is a conflict."""
        known = {key: job.job for key, job in self.jobs.items()}
        answers: list[bool] = []
        for job in jobs:
            first = known.setdefault(job.key, job)
            if (first.task, first.payload) != (job.task, job.payload):
                return None
            answers.append(first is job)
        for job, new in zip(jobs, answers, strict=True):
            if new:
                self.lives[job.key] += 1
                state = JobState.SCHEDULED if job.delay > 0 else JobState.PENDING
                self.jobs[job.key] = ModelJob(job, self.lives[job.key], state, 0.0, (0.0, 0))
                self.line_up(self.jobs[job.key], job.delay)
        return answers

    def line_up(self, job: ModelJob, delay: float = 0.0, *, front: bool = False) -> None:
        """Put a job into its queue: in the order of due times, or at the front."""
        job.due_at = self.now + delay
        step = next(self._sequence)
        job.place = (float("-inf"), -step) if front else (job.due_at, step)

    def in_order(self, queue: str) -> list[ModelJob]:
        """Return the due jobs of a queue in order, without those that go before others because they crashed."""
        due = (job for job in self._due(queue) if not job.crashes or not self.finds_poison_jobs)
        return sorted(due, key=lambda job: (-job.job.priority, job.place))

    def observed(self, queue: str) -> list[ModelJob]:
        """Return the due jobs of a queue that crashed once."""
        return [job for job in self._due(queue) if self.finds_poison_jobs and job.crashes and not job.suspect]

    def suspects(self, queue: str) -> dict[str, ModelJob]:
        """Return the due suspects of a queue."""
        return {job.job.id: job for job in self._due(queue) if self.finds_poison_jobs and job.suspect}

    def _due(self, queue: str) -> list[ModelJob]:
        return [
            job for job in self.jobs.values() if job.job.queue == queue and self.is_due(job) and not self.waits(job)
        ]

    def waits(self, job: ModelJob) -> bool:
        """Return whether a person has ordered that a job is not claimed."""
        return job.job.queue in self.paused or (job.job.queue, job.job.task) in self.stopped

    def is_due(self, job: ModelJob) -> bool:
        """Return whether a job may be claimed."""
        return job.state in WAITING and job.due_at <= self.now

    def lease(self, job: ModelJob, request: ClaimRequest) -> None:
        """Give a job to the worker of a claim."""
        job.state, job.worker_id = JobState.RUNNING, request.worker_id
        job.claimed_at, job.deadline = self.now, self.now + request.lease
        job.alone = not request.running and (job.suspect or request.limit == 1)
        job.epoch += 1
        job.attempt += 1

    def holder(self, lease: Lease, life: int) -> ModelJob | None:
        """Return the job of a lease; None if the lease is lost."""
        job = self.jobs.get((lease.queue, lease.job_id))
        held = job and job.life == life and job.state is JobState.RUNNING and job.epoch == lease.epoch
        return job if held else None

    def end(self, job: ModelJob, state: JobState, keep: float) -> None:
        """End a job; forget it at once or after its retention."""
        job.state, job.forget_at = state, self.now + keep
        self.forget()

    def settle(self, job: ModelJob, settlement: Settlement) -> None:
        """Apply the settlement of a job."""
        job.settled.add(job.epoch)
        match settlement:
            case Completed(result=result, retain_for=keep):
                job.result = result
                self.end(job, JobState.COMPLETED, keep)
            case Failed(retain_for=keep):
                self.end(job, JobState.FAILED, keep)
            case Dead(reason=reason):
                job.reason = reason
                self.end(job, JobState.DEAD, DEAD_KEEP)
            case Expired():
                self.end(job, JobState.EXPIRED, DEAD_KEEP)
            case Retried() | HandedBack() | Released():
                self.put_back(job, settlement)

    def put_back(self, job: ModelJob, settlement: Retried | HandedBack | Released) -> None:
        """Put a job that has not ended back into its queue."""
        front = False
        match settlement:
            case Retried():
                job.state = JobState.RETRYING
                job.note_start()
            case HandedBack():
                job.attempt -= 1
                job.hand_backs += 1
                job.state = JobState.SCHEDULED
            case Released(delay=delay, started=started):
                job.attempt -= 1
                if started:
                    job.note_start()
                front = not delay
                job.state = JobState.PENDING if front else JobState.SCHEDULED
        self.line_up(job, settlement.delay, front=front)

    def replay(self, job: ModelJob) -> None:
        """Put an ended job back into its queue."""
        job.attempt, job.history = 0, CrashHistory()
        job.note_start()
        job.state, job.reason, job.forget_at = JobState.PENDING, None, float("inf")
        self.line_up(job)

    def note_sign(self, queue: str, lease: float) -> SignsOfLife:
        """Note that a worker of a queue has extended or reaped."""
        self.signs[queue] = note_sign(self.signs.get(queue), self.now, lease=lease)
        return self.signs[queue]

    def extend(self, job: ModelJob, seconds: float) -> None:
        """Extend the lease of a job."""
        job.deadline = self.now + seconds
        self.signs[job.job.queue] = note_extended(self.signs[job.job.queue], [job.claimed_at])

    def lapsed(self, queue: str) -> set[str]:
        """Return the jobs of a queue that a reap may take back."""
        running = (job for job in self.jobs.values() if job.state is JobState.RUNNING and job.job.queue == queue)
        return {job.job.id for job in running if job.deadline <= reapable(self.signs[queue], self.now)}

    def note_crashed(self, jobs: Iterable[ModelJob]) -> None:
        """Remember the workers of jobs that are reaped."""
        for job in jobs:
            self.crashed.setdefault((job.job.queue, job.worker_id), self.now)

    def take_back(self, job: ModelJob, lease: float, counted: int, near: float) -> bool:
        """Reap a job of a worker with this lease; return whether that counts as a crash.

        The broker has `counted` this many crashes. If the job may just as well have been cleared, within `near`, the
        broker decides.
        """
        job.note_start()
        if forgives(self.signs[job.job.queue], job.deadline):
            job.attempt -= 1
            job.state = JobState.PENDING
            self.line_up(job, front=True)
            return False
        if self._is_fatal(job, lease, counted, near):
            job.reason = "crashed"
            self.end(job, JobState.DEAD, DEAD_KEEP)
        else:
            job.state = JobState.PENDING
            self.line_up(job, front=True)
        return True

    def _is_fatal(self, job: ModelJob, lease: float, counted: int, near: float) -> bool:
        """Count a crash; return whether it is the last one that the job may cause."""
        if not self.finds_poison_jobs:
            job.history = CrashHistory(job.crashes + 1)
            return job.crashes >= job.job.max_crashes
        ran = max(0.0, job.deadline - lease - job.claimed_at)
        if job.crashes and abs(ran - job.history.probation) < near:
            ran = job.history.probation if counted == job.crashes else ran - near
        since = (job.history.since if job.crashes else self.now) - EXCUSE_WINDOW * lease
        crashed = sum(queue == job.job.queue and at >= since for (queue, _), at in self.crashed.items())
        job.history, dead = after_crash(
            job.history, ran=ran, alone=job.alone, max_crashes=job.job.max_crashes, crashed_workers=crashed,
            lease=lease, now=self.now,
        )  # fmt: skip
        return dead
