"""Leases jobs of the memory broker to workers, and accepts what they settle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import assert_never

from aioq.backends.memory.jobs import JobTable, MemoryRole
from aioq.backends.memory.queue import StoredJob
from aioq.model.attempts import add_attempt, attempt_of
from aioq.model.job import (
    AttemptOutcome,
    Claim,
    ClaimRequest,
    Completed,
    Dead,
    Expired,
    Failed,
    HandedBack,
    Lease,
    Reaped,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.outage import SignsOfLife, forgives, note_extended, note_sign, reapable
from aioq.model.states import JobState, Verb
from aioq.model.suspects import EXCUSE_WINDOW, after_crash, plan_claim

__all__ = ["CRASH_TTL", "DEAD_TTL", "LeaseRole"]

DEAD_TTL = 7 * 86_400.0
"""Seconds that dead and expired jobs are kept."""

CRASH_TTL = 3600.0
"""Seconds for which the crash of a worker is remembered."""


class LeaseRole(MemoryRole):
    """Implements `claim`, `extend`, `settle` and `reap` of `aioq.protocols.Broker`."""

    def __init__(self, table: JobTable) -> None:
        super().__init__(table)
        # By worker: its latest request id, the leases that it got, and how long it has to be alone.
        self._latest_claims: dict[str, tuple[str, list[Lease], float]] = {}

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        now = self._table.now()
        request_id, leases, alone_for = self._latest_claims.get(request.worker_id, ("", [], 0.0))
        # The same request again: its answer was lost, or this is an inquiry. It must not take more jobs.
        if request_id == request.request_id:
            leases = [lease for lease in leases if self._is_held(lease)]
        else:
            taken, alone_for = self._take(request, now)
            leases = [_lease(stored, request, now) for stored in taken]
            for stored in taken:
                # The only job of a worker that has one slot runs alone, too.
                stored.alone = not request.running and (stored.suspect or request.limit == 1)
            self._latest_claims[request.worker_id] = (request.request_id, leases, alone_for)
        paused = tuple(queue for queue in request.queues if self._table.queues[queue].pause)
        return Claim(leases=leases, next_due=self._next_due(request.queues), alone_for=alone_for, paused=paused)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend leases and return the lost ones; see `aioq.protocols.Broker.extend`."""
        now = self._table.now()
        for queue in {lease.queue for lease in leases}:
            self._note_sign(queue, now, seconds)
        for lease in leases:
            if self._is_held(lease):
                self._extend(self._table.jobs[lease.queue, lease.job_id], now + seconds)
        return [lease for lease in leases if not self._is_held(lease)]

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended; see `aioq.protocols.Broker.settle`."""
        return [self._settle(settlement) for settlement in settlements]

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Take back leases that ran out; see `aioq.protocols.Broker.reap`."""
        now = self._table.now()
        reaped: list[Reaped] = []
        for name in queues:
            signs = self._note_sign(name, now, lease)
            latest = reapable(signs, now)
            overdue = (job for job in self._table.queues[name].leased.values() if job.deadline <= latest)
            # A list first, because `_reap` removes jobs from the dict that the generator reads.
            jobs = list(islice(overdue, limit))
            self._note_crashes(name, [job for job in jobs if not forgives(signs, job.deadline)], now)
            reaped += [self._reap(stored, signs, now, lease) for stored in jobs]
        return reaped

    def _has_work(self, queue: str, request: ClaimRequest) -> bool:
        """Return whether a claim of an idle worker could find a job."""
        jobs = self._table.queues[queue]
        jobs.promote(self._table.now())
        return jobs.has_work(observes=request.observes)

    def _next_due(self, queues: Sequence[str]) -> float | None:
        """Return in how many seconds the next job of the queues comes due; None without one."""
        open_queues = [jobs for queue in queues if not (jobs := self._table.queues[queue]).pause]
        due = [at for jobs in open_queues if (at := jobs.next_due()) is not None]
        return max(0.0, min(due) - self._table.now()) if due else None

    def _take(self, request: ClaimRequest, now: float) -> tuple[list[StoredJob], float]:
        """Return the jobs that a request takes, and for how long its worker has to be alone."""
        taken: list[StoredJob] = []
        for name in request.queues:
            self._table.queues[name].promote(now)
        for name in request.queues:
            queue, left = self._table.queues[name], request.limit - len(taken)
            if queue.pause:
                continue
            empty = not request.running and not taken
            if left and queue.crashed:
                crashed, alone_for = self._take_crashed(name, request, empty=empty, left=left, now=now)
                taken += crashed
                if alone_for:
                    return taken, alone_for
                left -= len(crashed)
            taken += islice(iter(queue.take, None), left)
        return taken, 0.0

    def _take_crashed(
        self, name: str, request: ClaimRequest, *, empty: bool, left: int, now: float
    ) -> tuple[list[StoredJob], float]:
        """Return the jobs that a request takes of those that have crashed, and for how long its worker is alone."""
        queue = self._table.queues[name]
        suspects = queue.count_suspects()
        # A busy worker that cannot take a suspect must not be woken for it again and again.
        queue.has_new_suspect = False
        plan = plan_claim(
            queue.room, worker_id=request.worker_id, empty=empty, observes=request.observes, suspects=suspects,
            observed=len(queue.crashed) - suspects, lease=request.lease, now=now,
        )  # fmt: skip
        queue.room = plan.room
        if plan.suspect:
            (stored,) = queue.take_crashed(1, suspects=True)
            if suspects > 1:  # another idle worker can take the next one at once
                queue.has_new_suspect = True
                self._table.waiters.wake("work", name)
            return [stored], stored.history.probation
        taken = queue.take_crashed(min(plan.observed, left), suspects=False)
        if taken:  # another worker can take the next part
            self._table.waiters.wake("work", name)
        return taken, plan.alone_for

    def _job_of(self, lease: Lease) -> StoredJob | None:
        """Return the job of a lease; None if its record is gone, even if a later job has its id."""
        stored = self._table.jobs.get((lease.queue, lease.job_id))
        return stored if stored and stored.enqueued_at == lease.enqueued_at else None

    def _is_held(self, lease: Lease) -> bool:
        """Return whether a lease is still valid."""
        stored = self._job_of(lease)
        return stored is not None and stored.state is JobState.RUNNING and _is_latest(lease, stored)

    def _settle(self, settlement: Settlement) -> Settled:
        self._table.now()
        stored = self._job_of(settlement.lease)
        if stored is None or not _is_latest(settlement.lease, stored):
            return Settled.STALE
        if stored.state is not JobState.RUNNING:
            return Settled.ALREADY
        self._write(settlement, stored)
        return Settled.DONE

    def _write(self, settlement: Settlement, stored: StoredJob) -> None:
        if not (isinstance(settlement, Completed) and settlement.retain_for <= 0):
            attempt = attempt_of(settlement, started_at=stored.started_at or 0.0, now=self._table.now())
            stored.attempts = add_attempt(stored.attempts, attempt)
        match settlement:
            case Completed():
                stored.result = settlement.result
                self._table.end(stored, Verb.COMPLETE, retain_for=settlement.retain_for)
            case Failed():
                stored.failure = settlement.failure
                self._table.end(stored, Verb.FAIL, retain_for=settlement.retain_for)
            case Dead():
                stored.failure = settlement.failure
                stored.reason = settlement.reason
                self._table.end(stored, Verb.MARK_DEAD, retain_for=DEAD_TTL)
            case Expired():
                stored.failure = settlement.failure
                self._table.end(stored, Verb.EXPIRE, retain_for=DEAD_TTL)
            case Retried() | Released() | HandedBack():
                self._put_back(settlement, stored)
            case _:
                assert_never(settlement)

    def _put_back(self, settlement: Retried | Released | HandedBack, stored: StoredJob) -> None:
        verb = Verb.POSTPONE
        if isinstance(settlement, Released):
            verb = Verb.POSTPONE if settlement.delay > 0 else Verb.RELEASE
        else:
            stored.failure = settlement.failure or stored.failure
        if isinstance(settlement, Retried):
            verb = Verb.RETRY
        else:  # the attempt was counted when the job was claimed, and the job has not failed
            stored.attempt -= 1
        if isinstance(settlement, HandedBack):
            stored.hand_backs += 1
        elif isinstance(settlement, Retried) or settlement.started:
            stored.note_start()
        self._table.requeue(stored, verb, delay=settlement.delay)

    def _note_sign(self, queue: str, now: float, lease: float) -> SignsOfLife:
        jobs = self._table.queues[queue]
        jobs.signs = note_sign(jobs.signs, now, lease=lease)
        return jobs.signs

    def _extend(self, stored: StoredJob, deadline: float) -> None:
        stored.deadline = deadline
        jobs = self._table.queues[stored.job.queue]
        if jobs.signs and stored.started_at is not None:
            jobs.signs = note_extended(jobs.signs, [stored.started_at])

    def _reap(self, stored: StoredJob, signs: SignsOfLife, now: float, lease: float) -> Reaped:
        crashed, dead = not forgives(signs, stored.deadline), False
        outcome = AttemptOutcome.CRASHED if crashed else AttemptOutcome.LOST
        stored.note_unsettled(outcome, until=stored.deadline - lease)
        if crashed:
            dead = self._count_crash(stored, now, lease)
        else:
            stored.attempt -= 1
        stored.note_start()  # its worker is gone, and with it the answer whether the task was started
        if dead:
            stored.reason = "crashed"
            self._table.end(stored, Verb.MARK_DEAD, retain_for=DEAD_TTL)
        else:
            self._table.requeue(stored, Verb.REAP)
        return Reaped(
            job_id=stored.job.id, queue=stored.job.queue, worker_id=stored.worker_id or "", crashed=crashed,
            crashes=stored.crashes, state=stored.state, task=stored.job.task,
        )  # fmt: skip

    def _count_crash(self, stored: StoredJob, now: float, lease: float) -> bool:
        """Note the crash of a job, and return whether the job is dead."""
        workers = self._table.queues[stored.job.queue].crashed_workers
        since = (stored.history.since if stored.crashes else now) - EXCUSE_WINDOW * lease
        stored.ran = max(0.0, stored.deadline - lease - (stored.started_at or 0.0))
        stored.history, dead = after_crash(
            stored.history,
            ran=stored.ran,
            alone=stored.alone,
            max_crashes=stored.job.max_crashes,
            crashed_workers=sum(moment >= since for moment in workers.values()),
            lease=lease,
            now=now,
        )
        return dead

    def _note_crashes(self, queue: str, jobs: Sequence[StoredJob], now: float) -> None:
        """Remember which workers crashed, by the jobs that are being reaped."""
        workers = self._table.queues[queue].crashed_workers
        for worker_id in [id for id, moment in workers.items() if moment <= now - CRASH_TTL]:
            del workers[worker_id]
        for stored in jobs:
            workers.setdefault(stored.worker_id or "", now)


def _is_latest(lease: Lease, stored: StoredJob) -> bool:
    """Return whether no claim of the job came after that of the lease."""
    return stored.epoch == lease.epoch and stored.worker_id == lease.worker_id


def _lease(stored: StoredJob, request: ClaimRequest, now: float) -> Lease:
    """Start a new attempt of a claimed job, and return its lease."""
    # Also after a release, which takes the attempt back: no two leases of a job may have the same epoch.
    stored.epoch += 1
    stored.attempt += 1
    stored.deadline = now + request.lease
    stored.started_at = now
    stored.worker_id = request.worker_id
    stored.ran = 0.0
    return stored.lease()
