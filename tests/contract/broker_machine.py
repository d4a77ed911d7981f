"""Compares any broker with a small pure model, by Hypothesis.

Subclass `BrokerMachine`, say how to make a broker and how time passes, and run it:

    class MyMachine(BrokerMachine):
        unit = 0.1

        async def make_broker(self) -> Broker: ...
        async def pass_time(self, seconds: float) -> None: ...

    TestMyMachine = MyMachine.TestCase

The broker must be a `Broker` and a `JobStore`. hypothesis calls its methods in any order, with
leases old and new, and lets time pass; after each call every answer and every record must be
what the model says. All durations are multiples of `unit`, and nothing is asked within
`unit / 20` of the moment at which an answer would change, so a broker on real time is fine as
long as it answers faster than that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aioq.errors import JobConflict
from aioq.model.job import (
    Claim,
    ClaimRequest,
    Completed,
    Dead,
    Expired,
    Failed,
    Failure,
    HandedBack,
    JobRecord,
    Lease,
    NewJob,
    QueueStats,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.outage import SignsOfLife, forgives, note_extended, note_sign, reapable
from aioq.model.states import FINAL_STATES, JobState
from aioq.model.suspects import EXCUSE_WINDOW, SUSPECT_AFTER, CrashHistory, after_crash, part_of
from aioq.options import latest_start
from aioq.protocols import Broker, JobStore

__all__ = ["BrokerMachine", "Model", "ModelJob"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

FAILURE = Failure("ValueError", "no", "Traceback")
DEAD_KEEP, CANCELLED_KEEP = 7 * 86_400.0, 86_400.0
LONG = 9000.0
"""Seconds that no test lets pass: jobs of the highest priority expire, and no broker looks at that."""
WAITING = (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)


@dataclass
class ModelJob:
    """The model's state of a job."""

    job: NewJob
    life: int
    """The number of the job among the successive jobs with this id."""
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


class Model:
    """The rules of a broker in their simplest form."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs: dict[str, ModelJob] = {}
        self.requests: dict[str, tuple[ClaimRequest, list[tuple[Lease, int]]]] = {}
        self.lives: Counter[str] = Counter()
        self.signs: dict[str, SignsOfLife] = {}
        self.crashed: dict[tuple[str, str], float] = {}
        """When the crash of a worker was noticed first, by queue and worker."""
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
        self.jobs = {id: job for id, job in self.jobs.items() if job.forget_at > self.now}

    def enqueue(self, jobs: list[NewJob]) -> list[bool] | None:
        """Return which jobs are new; None if there is a conflict."""
        known = {id: job.job for id, job in self.jobs.items()}
        answers: list[bool] = []
        for job in jobs:
            first = known.setdefault(job.id, job)
            if (first.task, first.queue, first.payload) != (job.task, job.queue, job.payload):
                return None
            answers.append(first is job)
        for job, new in zip(jobs, answers, strict=True):
            if new:
                self.lives[job.id] += 1
                state = JobState.SCHEDULED if job.delay > 0 else JobState.PENDING
                self.jobs[job.id] = ModelJob(job, self.lives[job.id], state, 0.0, (0.0, 0))
                self.line_up(self.jobs[job.id], job.delay)
        return answers

    def line_up(self, job: ModelJob, delay: float = 0.0, *, front: bool = False) -> None:
        """Put a job into its queue: in the order of due times, or at the front."""
        job.due_at = self.now + delay
        step = next(self._sequence)
        job.place = (float("-inf"), -step) if front else (job.due_at, step)

    def in_order(self, queue: str) -> list[ModelJob]:
        """Return the due jobs of a queue in order, without those that crashed."""
        due = (job for job in self._due(queue) if not job.crashes)
        return sorted(due, key=lambda job: (-job.job.priority, job.place))

    def observed(self, queue: str) -> list[ModelJob]:
        """Return the due jobs of a queue that crashed once."""
        return [job for job in self._due(queue) if job.crashes and not job.suspect]

    def suspects(self, queue: str) -> dict[str, ModelJob]:
        """Return the due suspects of a queue."""
        return {job.job.id: job for job in self._due(queue) if job.suspect}

    def _due(self, queue: str) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.job.queue == queue and self.is_due(job)]

    def is_due(self, job: ModelJob) -> bool:
        """Return whether a job may be claimed."""
        return job.state in WAITING and job.due_at <= self.now

    def holder(self, lease: Lease, life: int) -> ModelJob | None:
        """Return the job of a lease; None if the lease is lost."""
        job = self.jobs.get(lease.job_id)
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
        ran = max(0.0, job.deadline - lease - job.claimed_at)
        if job.crashes and abs(ran - job.history.probation) < near:
            ran = job.history.probation if counted == job.crashes else ran - near
        since = (job.history.since if job.crashes else self.now) - EXCUSE_WINDOW * lease
        crashed = sum(queue == job.job.queue and at >= since for (queue, _), at in self.crashed.items())
        job.history, dead = after_crash(
            job.history, ran=ran, alone=job.alone, max_crashes=job.job.max_crashes, crashed_workers=crashed,
            lease=lease, now=self.now,
        )  # fmt: skip
        if dead:
            job.reason = "crashed"
            self.end(job, JobState.DEAD, DEAD_KEEP)
        else:
            job.state = JobState.PENDING
            self.line_up(job, front=True)
        return True


IDS = "abcd"
ids = st.sampled_from(IDS)
one_in_ten = st.integers(0, 9).map(lambda n: n == 9)
several_queues = st.sampled_from([("q", "r"), ("r", "q"), ("q",), ("r",)])
workers = st.sampled_from(["w1", "w2"])
delays = st.sampled_from([0.0, 5.0])
keeps = st.sampled_from([0.0, 3.0, 50.0])
outcomes: st.SearchStrategy[type[Settlement]] = st.sampled_from(
    [Completed, Failed, Dead, Expired, Retried, Released, HandedBack]
)
which = st.integers(0, 20)
"""Indexes into lists whose lengths are unknown when they are drawn."""


def _latest_start(job: NewJob, enqueued_at: float) -> float | None:
    return latest_start(enqueued_at, expires=job.expires, delay=job.delay)


def when(condition: Callable[[BrokerMachine], object]) -> Callable[[F], F]:
    """Disable a rule as long as there is nothing for it to do."""
    return precondition(lambda machine: bool(condition(machine)))


class BrokerMachine(RuleBasedStateMachine):
    """Makes the same calls of a broker and of the model, and compares them."""

    unit = 1.0
    """The unit of all durations, in seconds."""

    in_order = True
    """Whether jobs of one priority run in the order of their due times, even if the broker notices those late."""

    async def make_broker(self) -> Broker:
        """Return a connected, empty broker."""
        raise NotImplementedError

    async def pass_time(self, seconds: float) -> None:
        """Let at least `seconds` pass on the broker's clock."""
        raise NotImplementedError

    async def clean_up(self) -> None:
        """Close what `make_broker` made."""
        await self.broker.close()

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._ids = count(1)
        self._given: list[tuple[Lease, int]] = []
        self._names = dict(zip(IDS, IDS, strict=True))
        self.model = Model()

    @initialize()
    def begin(self) -> None:
        """Make the broker."""
        self.broker = self._run(self.make_broker())
        assert isinstance(self.broker, JobStore)
        self.store: JobStore = self.broker

    def teardown(self) -> None:
        """Close the broker."""
        if hasattr(self, "broker"):
            self._run(self.clean_up())
        self._runner.close()

    # What may happen

    @rule(
        wanted=st.lists(
            st.tuples(ids, st.sampled_from([5, 5, 9]), delays, st.integers(1, 4), one_in_ten), min_size=1, max_size=3
        )
    )
    def enqueue(self, wanted: list[tuple[str, int, float, int, bool]]) -> None:
        """Enqueue a batch: new ids, known ones, and some that conflict."""
        jobs = [
            NewJob(
                id=self._fresh(id), task="t", queue="r" if id == IDS[-1] else "q", payload=b"odd" if odd else b"{}",
                priority=priority, delay=delay * self.unit, max_crashes=crashes, expires=LONG if priority == 9 else None,
            )
            for id, priority, delay, crashes, odd in wanted
        ]  # fmt: skip
        self._run(self.pass_time(self.unit / 50))  # jobs that have an id one after the other differ in their time
        self._look_at_the_clock()
        expected = self.model.enqueue(jobs)
        try:
            answer = self._run(self.broker.enqueue(jobs))
        except JobConflict:
            answer = None
        assert answer == expected

    @when(lambda self: any(map(self.model.is_due, self.model.jobs.values())))
    @rule(
        worker=workers, queues=several_queues, limit=st.integers(1, 4),
        lease=st.sampled_from([2, 10]), running=st.integers(0, 1), observes=st.booleans(),
    )  # fmt: skip
    def claim(
        self, worker: str, queues: tuple[str, ...], limit: int, lease: int, running: int, observes: bool
    ) -> None:  # fmt: skip
        """Claim with a new request id."""
        self._claim(worker, queues, limit, lease, running, observes=observes)

    @when(lambda self: any(map(self.model.is_due, self.model.jobs.values())))
    @rule(worker=workers, delay=delays, keep=keeps, outcomes=st.lists(outcomes, max_size=len(IDS)))
    def work(self, worker: str, delay: float, keep: float, outcomes: list[type[Settlement]]) -> None:
        """Claim all due jobs, and settle some of them."""
        self._claim(worker, ("q", "r"), len(IDS), 10)
        for held, how in zip(self._held(), outcomes, strict=False):
            self._settle(held, delay, keep, how)

    def _claim(
        self, worker: str, queues: tuple[str, ...], limit: int, lease: int, running: int = 0, *, observes: bool = True
    ) -> None:
        request = ClaimRequest(
            worker_id=worker,
            queues=queues,
            limit=limit,
            lease=lease * self.unit,
            request_id=f"request-{next(self._ids)}",
            running=running,
            observes=observes,
        )
        self._look_at_the_clock()
        claim = self._run(self.broker.claim(request))
        self._compare_order(claim.leases, self._expected(request, claim), queues)
        given: list[tuple[Lease, int]] = []
        for got in claim.leases:
            job = self.model.jobs[got.job_id]
            self._note_claim(job, request)
            assert abs(got.probation - job.history.probation) < self.unit / 10
            assert got == self._lease_of(job, got)
            given.append((got, job.life))
        self.model.requests[worker] = (request, given)
        self._given.extend(given)
        self._compare_next_due(claim.next_due, queues)

    def _expected(self, request: ClaimRequest, claim: Claim) -> list[ModelJob]:
        """Return what a claim should bring, given how long it tells its worker to be alone.

        Any queue with a suspect may be the reason for that: a claim that went on brought something. Which observed jobs
        a claim brings is for the broker to say.
        """
        taken: list[ModelJob] = []
        passed_over = False
        for queue in request.queues:
            line, suspects, left = self.model.in_order(queue), self.model.suspects(queue), request.limit - len(taken)
            busy = request.running or taken
            if suspects and left and claim.alone_for:
                if not busy and claim.leases and claim.leases[0].job_id in suspects:
                    return [suspects[claim.leases[0].job_id]]
                if len(claim.leases) <= len(taken):
                    return taken
            observed = self.model.observed(queue) if request.observes else []
            part = [job for lease in claim.leases for job in observed if job.job.id == lease.job_id]
            assert len(part) <= min(left, part_of(len(observed)))
            passed_over |= bool(left) and bool(observed or (suspects and not busy))
            taken += part
            taken += line[: left - len(part)]
        assert not claim.alone_for
        assert taken or not passed_over, "a worker passes over a job that crashed, and goes without a job"
        return taken

    @when(lambda self: self.model.requests)
    @rule(worker=workers)
    def repeat_the_claim(self, worker: str) -> None:
        """Repeat the worker's latest request: it returns the leases that are still held, and no others."""
        if worker not in self.model.requests:
            return
        request, given = self.model.requests[worker]
        self._look_at_the_clock()
        held = [lease for lease, life in given if self.model.holder(lease, life)]
        assert self._run(self.broker.claim(request)).leases == held

    @when(lambda self: self._given)
    @rule(picks=st.lists(which, max_size=4), seconds=st.sampled_from([1.0, 10.0]))
    def extend(self, picks: list[int], seconds: float) -> None:
        """Extend leases, held and lost."""
        self._look_at_the_clock()
        some = [self._given[-1 - pick % len(self._given)] for pick in picks]
        lost: list[Lease] = []
        for queue in {lease.queue for lease, _ in some}:
            self.model.note_sign(queue, seconds * self.unit)
        for lease, life in some:
            if job := self.model.holder(lease, life):
                self.model.extend(job, seconds * self.unit)
            else:
                lost.append(lease)
        assert self._run(self.broker.extend([lease for lease, _ in some], seconds=seconds * self.unit)) == lost

    @when(lambda self: self._held())
    @rule(pick=which, delay=delays, keep=keeps, how=outcomes)
    def settle(self, pick: int, delay: float, keep: float, how: type[Settlement]) -> None:
        """Settle with a lease that is held."""
        self._look_at_the_clock()
        held = self._held()
        self._settle(held[pick % len(held)], delay, keep, how)

    @when(lambda self: len(self._given) > len(self._held()))
    @rule(pick=which, delay=delays, keep=keeps, how=outcomes)
    def settle_by_an_old_lease(self, pick: int, delay: float, keep: float, how: type[Settlement]) -> None:
        """Settle with a lease that was lost or settled, preferably of a job that is running again."""
        self._look_at_the_clock()
        old = [(lease, life) for lease, life in self._given if not self.model.holder(lease, life)]
        running = {job.job.id for job in self.model.jobs.values() if job.state is JobState.RUNNING}
        some = [held for held in old if held[0].job_id in running] or old
        self._settle(some[pick % len(some)], delay, keep, how)

    @when(lambda self: self._held())
    @rule(limit=st.integers(1, len(IDS)))
    def workers_vanish(self, limit: int) -> None:
        """Let every lease run out while another worker reaps."""
        for _ in range(5):
            self._reap(("q", "r"), limit, 10)
            self._run(self.pass_time(4.1 * self.unit))

    @when(lambda self: self._held())
    @rule(queues=several_queues, limit=st.integers(1, 3), lease=st.sampled_from([2, 10]))
    def reap(self, queues: tuple[str, ...], limit: int, lease: int) -> None:
        """Reap up to the limit."""
        self._reap(queues, limit, lease)

    def _reap(self, queues: tuple[str, ...], limit: int, lease: int) -> None:
        self._look_at_the_clock()
        reaped = self._run(self.broker.reap(queues, lease=lease * self.unit, limit=limit))
        for queue in queues:
            self.model.note_sign(queue, lease * self.unit)
            lapsed, answers = self.model.lapsed(queue), [answer for answer in reaped if answer.queue == queue]
            assert {answer.job_id for answer in answers} <= lapsed
            assert len(answers) == min(limit, len(lapsed))
        self.model.note_crashed(self.model.jobs[answer.job_id] for answer in reaped if answer.crashed)
        for answer in reaped:
            job = self.model.jobs[answer.job_id]
            crashed = self.model.take_back(job, lease * self.unit, answer.crashes, self.unit / 10)
            assert (answer.queue, answer.worker_id, answer.crashed) == (job.job.queue, job.worker_id, crashed)
            assert (answer.crashes, answer.state) == (job.crashes, job.state)

    @when(lambda self: self.model.jobs)
    @rule(pick=which, cancel=st.booleans())
    def interfere(self, pick: int, cancel: bool) -> None:
        """Cancel or replay a job."""
        self._look_at_the_clock()
        if not self.model.jobs:
            return
        job = list(self.model.jobs.values())[pick % len(self.model.jobs)]
        if cancel:
            expected = job.state not in FINAL_STATES
            assert self._run(self.store.cancel_job(job.job.id)) is expected
            if expected:
                self.model.end(job, JobState.CANCELLED, CANCELLED_KEEP)
        else:
            expected = job.state in FINAL_STATES - {JobState.COMPLETED}
            assert self._run(self.store.retry_job(job.job.id)) is expected
            if expected:
                self.model.replay(job)

    @when(lambda self: self.model.jobs)
    @rule(seconds=st.sampled_from([0.3, 3.3, 6.3, 60.3]))
    def let_time_pass(self, seconds: float) -> None:
        """Wait."""
        self._run(self.pass_time(seconds * self.unit))

    # What must hold

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        """Each known id has one record in its state, and the counts add up."""
        if not hasattr(self, "broker"):
            return
        self._look_at_the_clock()
        ids = {*self.model.jobs, *self._names.values()}
        records, queues = self._run(self._observed(ids))
        for id, record in records.items():
            self._compare_record(record, self.model.jobs.get(id))
        self._compare_stats(queues)

    async def _observed(self, ids: Iterable[str]) -> tuple[dict[str, JobRecord | None], list[QueueStats]]:
        return {id: await self.store.get_job(id) for id in ids}, await self.store.queue_stats()

    def _compare_record(self, record: JobRecord | None, job: ModelJob | None) -> None:
        assert (record is None) == (job is None)
        if record is None or job is None:
            return
        assert record.state is job.state or (self.model.is_due(job) and record.state in WAITING)
        assert (record.queue, record.priority, record.payload) == (job.job.queue, job.job.priority, job.job.payload)
        assert (record.attempt, record.crashes, record.reason) == (job.attempt, job.crashes, job.reason)
        assert record.hand_backs == job.hand_backs
        if job.state is JobState.RUNNING:
            assert record.worker_id == job.worker_id
        if job.state is JobState.COMPLETED:
            assert record.result == job.result

    def _compare_stats(self, queues: list[QueueStats]) -> None:
        expected: Counter[tuple[str, str]] = Counter()
        for job in self.model.jobs.values():
            kind = "waiting" if job.state in WAITING else job.state.value
            expected[job.job.queue, kind] += 1
        for stats in queues:
            counted = (stats.pending + stats.scheduled, stats.running, stats.dead, stats.expired)
            kinds = ("waiting", "running", "dead", "expired")
            assert counted == tuple(expected[stats.queue, kind] for kind in kinds)

    # How it is done

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.get_loop().run_until_complete(call)

    def _look_at_the_clock(self) -> None:
        """Read the broker's clock, away from every moment at which an answer changes."""
        guard = self.unit / 20
        self.model.now = self._run(self.broker.time())
        while any(abs(moment - self.model.now) < guard for moment in self.model.boundaries()):
            self._run(self.pass_time(guard))
            self.model.now = self._run(self.broker.time())
        self.model.forget()

    def _fresh(self, id: str) -> str:
        """Return an id for a new job: another one if the old one is taken for days."""
        job = self.model.jobs.get(self._names[id])
        if job and job.state in (JobState.CANCELLED, JobState.DEAD, JobState.EXPIRED):
            self._names[id] += "+"
        return self._names[id]

    def _held(self) -> list[tuple[Lease, int]]:
        return [(lease, life) for lease, life in self._given if self.model.holder(lease, life)]

    def _settle(self, held: tuple[Lease, int], delay: float, keep: float, how: type[Settlement]) -> None:
        lease, life = held
        settlement = self._settlement(how, lease, delay * self.unit, keep * self.unit)
        self._look_at_the_clock()
        job, holder = self.model.jobs.get(lease.job_id), self.model.holder(lease, life)
        if holder:
            allowed = {Settled.DONE}
            self.model.settle(holder, settlement)
        elif job and job.life == life and job.epoch == lease.epoch:
            allowed = {Settled.ALREADY} if lease.epoch in job.settled else {Settled.ALREADY, Settled.STALE}
        else:
            allowed = {Settled.STALE}
        (answer,) = self._run(self.broker.settle([settlement]))
        assert answer in allowed

    @staticmethod
    def _settlement(how: type[Settlement], lease: Lease, delay: float, keep: float) -> Settlement:
        if how is Completed:
            return Completed(lease=lease, result=b"%d" % lease.epoch, retain_for=keep)
        if how is Failed:
            return Failed(lease=lease, failure=FAILURE, retain_for=keep)
        if how is Expired:
            return Expired(lease=lease, failure=FAILURE)
        if how is Retried:
            return Retried(lease=lease, delay=delay, failure=FAILURE)
        if how is HandedBack:
            return HandedBack(lease=lease, delay=delay, failure=FAILURE)
        if how is Released:
            return Released(lease=lease, delay=delay, started=bool(keep))
        return Dead(lease=lease, reason="malformed")

    def _note_claim(self, job: ModelJob, request: ClaimRequest) -> None:
        job.state, job.worker_id = JobState.RUNNING, request.worker_id
        job.claimed_at, job.deadline = self.model.now, self.model.now + request.lease
        job.alone = not request.running and (job.suspect or request.limit == 1)
        job.epoch += 1
        job.attempt += 1

    @staticmethod
    def _lease_of(job: ModelJob, got: Lease) -> Lease:
        return Lease(
            job_id=job.job.id,
            queue=job.job.queue,
            epoch=job.epoch,
            worker_id=job.worker_id,
            task=job.job.task,
            payload=job.job.payload,
            attempt=job.attempt,
            crashes=job.crashes,
            priority=job.job.priority,
            enqueued_at=got.enqueued_at,
            probation=got.probation,
            expires_at=_latest_start(job.job, got.enqueued_at) if job.may_expire else None,
            max_crashes=job.job.max_crashes,
            hand_backs=job.hand_backs,
        )

    def _compare_order(self, leases: list[Lease], expected: list[ModelJob], queues: tuple[str, ...]) -> None:
        if self.in_order:
            assert [lease.job_id for lease in leases] == [job.job.id for job in expected]
            return
        ranks = [(queues.index(lease.queue), -lease.priority) for lease in leases]
        assert ranks == [(queues.index(job.job.queue), -job.job.priority) for job in expected]
        assert all(self.model.is_due(self.model.jobs[lease.job_id]) for lease in leases)

    def _compare_next_due(self, next_due: float | None, queues: tuple[str, ...]) -> None:
        later = [
            job.due_at - self.model.now
            for job in self.model.jobs.values()
            if job.state in WAITING and job.job.queue in queues and not self.model.is_due(job)
        ]
        assert (next_due is None) == (not later)
        assert next_due is None or abs(next_due - min(later)) < self.unit / 20
