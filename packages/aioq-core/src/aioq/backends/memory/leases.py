"""Leases of the memory broker: who may run a job, and whose report on it counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from aioq.backends.memory.jobs import Store
from aioq.backends.memory.queue import StoredJob
from aioq.backends.memory.waiters import Wakes
from aioq.model.job import (
    Claim,
    ClaimRequest,
    Completed,
    Dead,
    Expired,
    Failed,
    Lease,
    Reaped,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.states import JobState, Verb

__all__ = ["DEAD_KEEP", "Leasing", "TURN", "Turns"]

DEAD_KEEP = 7 * 86_400.0
"""Seconds for which dead and expired jobs are kept."""


class Leasing:
    """Leases jobs of a store to workers, and takes their reports."""

    def __init__(self, store: Store, wakes: Wakes) -> None:
        self._store, self._wakes = store, wakes
        self._turns = Turns()
        self.claims: dict[str, tuple[str, list[Lease], bool]] = {}
        """The latest request of each worker, and what it was answered."""

    def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; a repeated request is answered as before."""
        now = self._store.now()
        request_id, leases, alone = self.claims.get(request.worker_id, ("", [], False))
        if request_id == request.request_id:
            leases = [lease for lease in leases if self.holds(lease)]
        else:
            taken, alone = self._take(request, now)
            leases = [_lease(stored, request, now) for stored in taken]
            self.claims[request.worker_id] = (request.request_id, leases, alone)
        return Claim(leases=leases, next_due=self.next_due(request.queues), alone=alone)

    def holds(self, lease: Lease) -> bool:
        """Whether a lease counts."""
        stored = self._of(lease)
        return stored is not None and stored.state is JobState.RUNNING and stored.epoch == lease.epoch

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases, and return those that are lost."""
        deadline = self._store.now() + seconds
        for lease in leases:
            if self.holds(lease):
                self._store.jobs[lease.job_id].deadline = deadline
        return [lease for lease in leases if not self.holds(lease)]

    def settle(self, settlement: Settlement) -> Settled:
        """Write how an attempt ended, if its lease counts."""
        lease = settlement.lease
        self._store.now()
        if not self.holds(lease):
            stored = self._of(lease)
            return Settled.ALREADY if stored and stored.epoch == lease.epoch else Settled.STALE
        self._write(settlement, self._store.jobs[lease.job_id])
        return Settled.DONE

    def reap(self, queues: Sequence[str], limit: int) -> list[Reaped]:
        """Take back leases that nobody has extended."""
        now, lines = self._store.now(), self._store.lines
        overdue = (stored for queue in queues for stored in lines[queue].leased.values() if stored.deadline <= now)
        return [self._reap(stored) for stored in list(islice(overdue, limit))]

    def has_ready(self, queue: str) -> bool:
        """Whether somebody had better claim."""
        line = self._store.lines[queue]
        line.promote(self._store.now())
        return line.has_work()

    def next_due(self, queues: Sequence[str]) -> float | None:
        """Return in how many seconds the next job of the queues comes due; None when there is none to come."""
        due = [at for queue in queues if (at := self._store.lines[queue].next_due()) is not None]
        return max(0.0, min(due) - self._store.now()) if due else None

    def _take(self, request: ClaimRequest, now: float) -> tuple[list[StoredJob], bool]:
        """Return what a request takes, and whether its worker is to take nothing more until it is empty."""
        taken: list[StoredJob] = []
        for queue in request.queues:
            self._store.lines[queue].promote(now)
        for queue in request.queues:
            line, left = self._store.lines[queue], request.limit - len(taken)
            if left and line.suspects:
                line.accused = False
                if not request.running and not taken:
                    self._turns.end(queue)
                    stored = line.take_suspect()
                    if line.suspects:
                        self._announce_suspect(queue)
                    return [stored], True
                if self._turns.take(queue, request.worker_id, request.lease, now):
                    return taken, True
            taken += islice(iter(line.take, None), left)
        return taken, False

    def _announce_suspect(self, queue: str) -> None:
        self._store.lines[queue].accused = True
        self._wakes.wake("work", queue)

    def _of(self, lease: Lease) -> StoredJob | None:
        """Return the job of a lease; None when it is gone, also if another has its id by now."""
        stored = self._store.jobs.get(lease.job_id)
        return stored if stored and stored.enqueued_at == lease.enqueued_at else None

    def _write(self, settlement: Settlement, stored: StoredJob) -> None:
        match settlement:
            case Completed():
                stored.result = settlement.result
                self._store.end(stored, Verb.COMPLETE, keep=settlement.retain_for)
            case Failed():
                stored.failure = settlement.failure
                self._store.end(stored, Verb.FAIL, keep=settlement.retain_for)
            case Dead():
                stored.failure, stored.reason = settlement.failure, settlement.reason
                self._store.end(stored, Verb.MARK_DEAD, keep=DEAD_KEEP)
            case Expired():
                stored.failure = settlement.failure
                self._store.end(stored, Verb.EXPIRE, keep=DEAD_KEEP)
            case Retried(delay=delay):
                stored.failure = settlement.failure or stored.failure
                self._store.requeue(stored, Verb.RETRY, delay=delay)
            case Released(delay=delay):
                stored.attempt -= 1
                self._store.requeue(stored, Verb.POSTPONE if delay > 0 else Verb.RELEASE, delay=delay)

    def _reap(self, stored: StoredJob) -> Reaped:
        stored.crashes += 1
        if stored.crashes >= stored.job.max_crashes:
            stored.reason = "crashed"
            self._store.end(stored, Verb.MARK_DEAD, keep=DEAD_KEEP)
        else:
            self._store.requeue(stored, Verb.REAP)
        return Reaped(job_id=stored.job.id, queue=stored.job.queue, crashes=stored.crashes, state=stored.state)


def _lease(stored: StoredJob, request: ClaimRequest, now: float) -> Lease:
    stored.epoch += 1
    stored.attempt += 1
    stored.deadline, stored.started_at = now + request.lease, now
    stored.worker_id = request.worker_id
    return stored.lease()


TURN = 10
"""Lengths of a lease for which a worker may take to become empty before it is another one's turn."""


class Turns:
    """One worker for each queue that has suspects: it claims nothing more until it is empty."""

    def __init__(self) -> None:
        self._turns: dict[str, tuple[str, float]] = {}

    def take(self, queue: str, worker_id: str, lease: float, now: float) -> bool:
        """Whether it is this worker's turn; it becomes so when it is nobody's."""
        holder, until = self._turns.get(queue, ("", 0.0))
        if until <= now:
            holder = worker_id
            self._turns[queue] = holder, now + TURN * lease
        return holder == worker_id

    def end(self, queue: str) -> None:
        """Note that a suspect has found its worker."""
        self._turns.pop(queue, None)
