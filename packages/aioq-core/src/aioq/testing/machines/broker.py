"""Compares any broker with a model of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from aioq.conformance import supports
from aioq.errors import JobConflict
from aioq.model.job import (
    ClaimRequest,
    Completed,
    Dead,
    Expired,
    Failed,
    Failure,
    HandedBack,
    JobKey,
    JobRecord,
    Lease,
    NewJob,
    QueueStats,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.states import FINAL_STATES, JobState
from aioq.model.stops import Stop
from aioq.protocols import JobStore, QueueControl
from aioq.testing.machines.comparison import (
    assert_counts,
    assert_next_due,
    assert_order,
    assert_record,
    expected_jobs,
    expected_lease,
)
from aioq.testing.machines.machine import Machine
from aioq.testing.models.jobs import CANCELLED_KEEP, JobModel

__all__ = ["BrokerMachine"]

F = TypeVar("F", bound=Callable[..., Any])

FAILURE = Failure("ValueError", "no", "Traceback")
LONG = 9000.0
"""Seconds that no test lets pass: jobs of the highest priority expire, and no broker looks at that."""

IDS, QUEUES = "abc", "qr"
TASKS = {"a": "s", "b": "t", "c": "t"}
"""The task of the jobs of each id."""
MOST = len(IDS) * len(QUEUES)
"""Jobs that are known at a time, at most: each queue has jobs with the same ids."""

ids = st.sampled_from(IDS)
one_in_ten = st.integers(0, 9).map(lambda n: n == 9)
several_queues = st.sampled_from([("q", "r"), ("r", "q"), ("q",), ("r",)])
workers = st.sampled_from(["w1", "w2"])
queue_names = st.sampled_from(QUEUES)
delays = st.sampled_from([0.0, 5.0])
keeps = st.sampled_from([0.0, 3.0, 50.0])
outcomes: st.SearchStrategy[type[Settlement]] = st.sampled_from(
    [Completed, Failed, Dead, Expired, Retried, Released, HandedBack]
)
which = st.integers(0, 20)
"""Indexes into lists whose lengths are unknown when they are drawn."""


def when(condition: Callable[[BrokerMachine], object]) -> Callable[[F], F]:
    """Disable a rule as long as there is nothing for it to do."""
    return precondition(lambda machine: bool(condition(machine)))


class BrokerMachine(Machine):
    """Makes the same calls of a broker and of a model, and compares every answer and every record.

    The broker must be a `Broker` and a `JobStore`; it may find poison jobs or not, as it states. If it is a
    `QueueControl`, queues are paused and tasks stopped, too. Hypothesis calls its methods in any order, with leases old
    and new, and lets time pass. All durations are multiples of `unit`, and nothing is asked within `unit / 20` of the
    moment at which an answer would change, so a broker on real time is fine if it answers faster than that:

        class MyMachine(BrokerMachine):
            unit = 0.1

            async def make_broker(self) -> Broker: ...
            async def pass_time(self, seconds: float) -> None: ...

        TestMyMachine = MyMachine.TestCase
    """

    unit = 1.0
    """The unit of all durations, in seconds."""

    in_order = True
    """Whether jobs of one priority run in the order of their due times, even if the broker notices those late, and jobs
    that are put back to the front in the order of the calls and of the answers."""

    def __init__(self) -> None:
        super().__init__()
        self._given: list[tuple[Lease, int]] = []
        self._restored: set[str] = set()
        """Queues of which a task was restored: which of its jobs go in front of others is for the broker to say."""
        self._names = {(queue, id): id for queue in QUEUES for id in IDS}

    @initialize()
    def begin(self) -> None:
        """Make the broker."""
        self.broker = self._run(self.make_broker())
        self.model = JobModel(finds_poison_jobs=getattr(self.broker, "finds_poison_jobs", False))
        assert isinstance(self.broker, JobStore)
        self.store: JobStore = self.broker
        self.control: QueueControl | None = self.broker if supports(self.broker, QueueControl) else None

    @rule(
        wanted=st.lists(
            st.tuples(ids, st.sampled_from("qqr"), st.sampled_from([5, 5, 9]), delays, st.integers(1, 4), one_in_ten),
            min_size=1,
            max_size=3,
        )
    )
    def enqueue(self, wanted: list[tuple[str, str, int, float, int, bool]]) -> None:
        """Enqueue a batch: new ids, known ones, and some that conflict."""
        jobs = [
            NewJob(
                id=self._fresh(queue, id), task=TASKS[id], queue=queue, payload=b"odd" if odd else b"{}",
                priority=priority, delay=delay * self.unit, max_crashes=crashes,
                expires=LONG if priority == 9 else None, headers={"crashes": str(crashes)} if crashes > 1 else None,
            )
            for id, queue, priority, delay, crashes, odd in wanted
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
    @rule(worker=workers, delay=delays, keep=keeps, outcomes=st.lists(outcomes, max_size=MOST))
    def work(self, worker: str, delay: float, keep: float, outcomes: list[type[Settlement]]) -> None:
        """Claim all due jobs, and settle some of them."""
        self._claim(worker, ("q", "r"), MOST, 10)
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
        expected = expected_jobs(self.model, request, claim)
        exact = self.in_order and self._restored.isdisjoint(queues)
        assert_order(self.model, claim.leases, expected, exact=exact)
        assert claim.paused == tuple(queue for queue in queues if queue in self.model.paused)
        given: list[tuple[Lease, int]] = []
        for got in claim.leases:
            job = self.model.jobs[got.queue, got.job_id]
            self.model.lease(job, request)
            assert abs(got.probation - job.history.probation) < self.unit / 10
            assert abs(got.wait - (job.claimed_at - job.due_at)) < self.unit / 10
            assert got == expected_lease(job, got)
            given.append((got, job.life))
        self.model.requests[worker] = (request, given)
        self._given.extend(given)
        assert_next_due(self.model, claim.next_due, queues, within=self.unit / 20)

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
        answer = self._run(self.broker.extend([lease for lease, _ in some], seconds=seconds * self.unit))
        # In any order: a broker may extend the leases of each queue together.
        assert sorted(answer, key=_identity) == sorted(lost, key=_identity)

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
        running = {job.job.key for job in self.model.jobs.values() if job.state is JobState.RUNNING}
        some = [held for held in old if (held[0].queue, held[0].job_id) in running] or old
        self._settle(some[pick % len(some)], delay, keep, how)

    @when(lambda self: self._held())
    @rule(limit=st.integers(1, MOST))
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
        self.model.note_crashed(self.model.jobs[answer.queue, answer.job_id] for answer in reaped if answer.crashed)
        for answer in reaped:
            job = self.model.jobs[answer.queue, answer.job_id]
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
            assert self._run(self.store.cancel_job(job.job.id, queue=job.job.queue)) is expected
            if expected:
                self.model.end(job, JobState.CANCELLED, CANCELLED_KEEP)
        else:
            retries = job.state is JobState.RETRYING and not self.model.is_due(job)
            expected = retries or job.state in FINAL_STATES - {JobState.COMPLETED}
            assert self._run(self.store.retry_job(job.job.id, queue=job.job.queue)) is expected
            if retries:
                self.model.line_up(job)
            elif expected:
                self.model.replay(job)

    @when(lambda self: self.control)
    @rule(queue=queue_names, on=st.booleans())
    def pause_or_resume(self, queue: str, on: bool) -> None:
        """Pause a queue, or resume it."""
        assert self.control is not None
        if on:
            answer = self._run(self.control.pause_queue(queue, note="", by="ada"))
            assert answer is (queue not in self.model.paused)
            self.model.paused.add(queue)
        else:
            assert self._run(self.control.resume_queue(queue)) is (queue in self.model.paused)
            self.model.paused.discard(queue)

    @when(lambda self: self.control)
    @rule(queue=queue_names, task=st.sampled_from(sorted(set(TASKS.values()))), on=st.booleans())
    def stop_or_restore(self, queue: str, task: str, on: bool) -> None:
        """Stop a task in a queue, or restore it."""
        assert self.control is not None
        stop = queue, task
        if on:
            answer = self._run(self.control.stop_task(task, queue=queue, note="", by="ada"))
            assert answer is (stop not in self.model.stopped)
            self.model.stopped.add(stop)
        else:
            assert self._run(self.control.restore_task(task, queue=queue)) is (stop in self.model.stopped)
            if stop in self.model.stopped:
                self.model.stopped.discard(stop)
                self._restored.add(queue)

    @when(lambda self: self.model.jobs)
    @rule(seconds=st.sampled_from([0.3, 3.3, 6.3, 60.3]))
    def let_time_pass(self, seconds: float) -> None:
        """Wait."""
        self._run(self.pass_time(seconds * self.unit))

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        """Each known job has one record in its state, and the counts add up."""
        if not hasattr(self, "broker"):
            return
        self._look_at_the_clock()
        keys = {*self.model.jobs, *((queue, name) for (queue, _), name in self._names.items())}
        records, queues = self._run(self._observed(keys))
        for key, record in records.items():
            assert_record(self.model, record, self.model.jobs.get(key))
        assert_counts(self.model, queues)
        if self.control is not None:
            stops = [(stop.queue, stop.task or "") for stop in self._run(self._stops(self.control))]
            assert stops == sorted([*((queue, "") for queue in self.model.paused), *self.model.stopped])

    async def _observed(self, keys: Iterable[JobKey]) -> tuple[dict[JobKey, JobRecord | None], list[QueueStats]]:
        records = {(queue, id): await self.store.get_job(id, queue=queue) for queue, id in keys}
        return records, await self.store.queue_stats()

    @staticmethod
    async def _stops(control: QueueControl) -> list[Stop]:
        return await control.list_stops()

    def _look_at_the_clock(self) -> None:
        """Read the broker's clock, away from every moment at which an answer changes."""
        guard = self.unit / 20
        self.model.now = self._run(self.broker.time())
        while any(abs(moment - self.model.now) < guard for moment in self.model.boundaries()):
            self._run(self.pass_time(guard))
            self.model.now = self._run(self.broker.time())
        self.model.forget()

    def _fresh(self, queue: str, id: str) -> str:
        """Return an id for a new job of a queue: another one if the old one is taken there for days."""
        job = self.model.jobs.get((queue, self._names[queue, id]))
        if job and job.state in (JobState.CANCELLED, JobState.DEAD, JobState.EXPIRED):
            self._names[queue, id] += "+"
        return self._names[queue, id]

    def _held(self) -> list[tuple[Lease, int]]:
        return [(lease, life) for lease, life in self._given if self.model.holder(lease, life)]

    def _settle(self, held: tuple[Lease, int], delay: float, keep: float, how: type[Settlement]) -> None:
        lease, life = held
        settlement = self._settlement(how, lease, delay * self.unit, keep * self.unit)
        self._look_at_the_clock()
        job, holder = self.model.jobs.get((lease.queue, lease.job_id)), self.model.holder(lease, life)
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


def _identity(lease: Lease) -> tuple[str, str, float, int, str]:
    return lease.queue, lease.job_id, lease.enqueued_at, lease.epoch, lease.worker_id
