"""The embedded broker: nothing to install, nothing to start, nothing kept after the process.

It is also the reference: what `BrokerContract` demands stands here in its plainest form.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from itertools import islice

from anyio import Event

from aioq.backends.memory.line import Line, StoredJob
from aioq.backends.memory.ticks import MemoryTicks
from aioq.backends.memory.turns import Turns
from aioq.backends.memory.wakes import Wakes
from aioq.clock import SteadyClock, SystemClock, wait_until
from aioq.errors import BrokerConfigError, JobConflict
from aioq.job import (
    Buried,
    Claim,
    ClaimRequest,
    Completed,
    Expired,
    Failed,
    JobRecord,
    Lease,
    NewJob,
    QueueStats,
    Reaped,
    Released,
    Retried,
    Settled,
    Settlement,
    WorkerInfo,
)
from aioq.protocols import Clock
from aioq.states import FINAL_STATES, JobState, Verb
from aioq.ticks import (
    Attendance,
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    TickClaim,
    TickRecord,
    TickReply,
    TickRun,
)

__all__ = ["MemoryBroker"]

DEAD_KEEP = 7 * 86_400.0
CANCELLED_KEEP = 86_400.0


class MemoryBroker:
    """Jobs in this process's memory, for tests, demos and programs that need no server.

    Clients and workers must share the object, and with it the event loop. Jobs are lost
    when the process ends. Dead and expired jobs are kept for 7 days, cancelled ones for a
    day.

    Args:
        url: `memory://`, so that it can be named where other brokers are.
        clock: Time as the broker sees it; a test may hand in its own.

    Raises:
        BrokerConfigError: `url` says more than `memory://`.
    """

    def __init__(self, url: str = "memory://", *, clock: Clock | None = None) -> None:
        if url != "memory://":
            raise BrokerConfigError("the memory broker has no settings in its URL: write memory:// and no more")
        self._clock: Clock = clock or SystemClock()
        self._steady = SteadyClock(self._clock)
        self._lines: defaultdict[str, Line] = defaultdict(Line)
        self._jobs: dict[str, StoredJob] = {}
        self._expiry: list[tuple[float, str, float]] = []
        self._claims: dict[str, tuple[str, list[Lease], bool]] = {}
        self._turns = Turns()
        self._workers: dict[str, tuple[WorkerInfo, float]] = {}
        self._wakes = Wakes()
        self._ticks = MemoryTicks(self._jobs.get, self._admit)

    def __repr__(self) -> str:
        return f"MemoryBroker({len(self._jobs)} jobs)"

    async def connect(self) -> None:
        """Do nothing: the store is this object."""

    async def close(self) -> None:
        """Do nothing: jobs stay for whoever connects next."""

    async def time(self) -> float:
        """Return the broker's clock."""
        return self._now()

    # Broker

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none; see `aioq.protocols.Broker.enqueue`."""
        now = self._now()
        fresh: dict[str, NewJob] = {}
        answers: list[bool] = []
        for job in jobs:
            known = fresh.get(job.id) or (self._jobs[job.id].job if job.id in self._jobs else None)
            if known and (known.task, known.queue, known.payload) != (job.task, job.queue, job.payload):
                raise JobConflict(job.id, known.queue)
            answers.append(known is None)
            fresh.setdefault(job.id, job) if known is None else None
        for job in fresh.values():
            self._admit(job, now)
        return answers

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        now = self._now()
        request_id, leases, alone = self._claims.get(request.worker_id, ("", [], False))
        if request_id == request.request_id:
            leases = [lease for lease in leases if self._holds(lease)]
        else:
            taken, alone = self._take(request, now)
            leases = [self._lease(stored, request, now) for stored in taken]
            self._claims[request.worker_id] = (request.request_id, leases, alone)
        return Claim(leases=leases, next_due=self._next_due(request), alone=alone)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.Broker.extend`."""
        deadline = self._now() + seconds
        for lease in leases:
            if self._holds(lease):
                self._jobs[lease.job_id].deadline = deadline
        return [lease for lease in leases if not self._holds(lease)]

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended; see `aioq.protocols.Broker.settle`."""
        return [self._settle(settlement) for settlement in settlements]

    async def reap(self, queues: Sequence[str], *, limit: int = 100) -> list[Reaped]:
        """Take back expired leases; see `aioq.protocols.Broker.reap`."""
        now = self._now()
        expired = (s for queue in queues for s in self._lines[queue].leased.values() if s.deadline <= now)
        return [self._reap(stored) for stored in list(islice(expired, limit))]

    # JobStore

    async def get_job(self, job_id: str, *, queue: str | None = None) -> JobRecord | None:
        """Return what is known of a job; see `aioq.protocols.JobStore.get_job`."""
        stored = self._find(job_id, queue)
        return stored.record() if stored else None

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one state; see `aioq.protocols.JobStore.list_jobs`."""
        self._now()
        if state is JobState.PENDING:
            found = self._lines[queue].waiting()
        else:
            mine = (s for s in self._jobs.values() if s.job.queue == queue and s.state is state)
            found = iter(sorted(mine, key=lambda s: (s.run_at, s.started_at or 0.0)))
        return [stored.record() for stored in islice(found, offset, offset + limit)]

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue; see `aioq.protocols.JobStore.queue_stats`."""
        self._now()
        return [
            QueueStats(
                queue=name,
                pending=line.counts[JobState.PENDING],
                scheduled=line.counts[JobState.SCHEDULED] + line.counts[JobState.RETRYING],
                running=line.counts[JobState.RUNNING],
                dead=line.counts[JobState.DEAD],
                expired=line.counts[JobState.EXPIRED],
            )
            for name, line in sorted(self._lines.items())
            if line.counts
        ]

    async def cancel_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Call a job off; see `aioq.protocols.JobStore.cancel_job`."""
        stored = self._find(job_id, queue)
        if stored is None or stored.state in FINAL_STATES:
            return False
        worker_id = stored.worker_id if stored.state is JobState.RUNNING else None
        self._end(stored, Verb.CANCEL, keep=CANCELLED_KEEP)
        if worker_id is not None:
            self._wakes.abort(worker_id, job_id)
        return True

    async def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Put an ended job back in line; see `aioq.protocols.JobStore.retry_job`."""
        stored = self._find(job_id, queue)
        if stored is None or stored.state not in FINAL_STATES - {JobState.COMPLETED}:
            return False
        stored.attempt = stored.crashes = 0
        stored.finished_at = stored.reason = None
        self._requeue(stored, Verb.REPLAY)
        return True

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first; see `aioq.protocols.JobStore.list_dead_jobs`."""
        self._now()
        dead = [s for s in self._jobs.values() if s.job.queue == queue and s.state is JobState.DEAD]
        dead.sort(key=lambda s: s.finished_at or 0.0, reverse=True)
        return [stored.record() for stored in dead[offset : offset + limit]]

    # WorkerRegistry

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Say that a worker is up; see `aioq.protocols.WorkerRegistry.heartbeat`."""
        self._workers[worker.id] = (worker, self._now() + ttl)

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        self._workers.pop(worker_id, None)
        self._claims.pop(worker_id, None)

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up; see `aioq.protocols.WorkerRegistry.list_workers`."""
        now = self._now()
        self._workers = {id: pair for id, pair in self._workers.items() if pair[1] > now}
        return [self._workers[id][0] for id in sorted(self._workers)]

    # Signals

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Claim when there is something to claim; see `aioq.protocols.Signals.wait_and_claim`."""
        with self._wakes.waiter("work", request.queues) as event:
            if not any(self._has_ready(queue) for queue in request.queues):
                due = self._next_due(request)
                await wait_until(event, self._clock, timeout if due is None else min(timeout, due))
        return await self.claim(request)

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""
        with self._wakes.waiter("result", [job_id]) as event:
            stored = self._find(job_id, queue)
            if stored is None or stored.state in FINAL_STATES:
                return True
            return await wait_until(event, self._clock, timeout)

    def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield cancelled jobs of a worker; see `aioq.protocols.Signals.aborts`."""
        return self._wakes.aborts(worker_id)

    # TickLedger

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make `crons` the entries of an app; see `aioq.protocols.TickLedger.register_crons`."""
        return self._ticks.register(app, version, crons, ttl, self._now())

    async def attend(self, app: str, version: str, *, ttl: float) -> Attendance:
        """Say that a worker is up; see `aioq.protocols.TickLedger.attend`."""
        return self._ticks.attend(app, version, ttl, self._now())

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide who fires a tick; see `aioq.protocols.TickLedger.claim_tick`."""
        return self._ticks.claim(claim, self._now())

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims; see `aioq.protocols.TickLedger.claim_ticks`."""
        return [await self.claim_tick(claim) for claim in claims]

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Lengthen runs and return the replaced ones; see `aioq.protocols.TickLedger.extend_runs`."""
        return self._ticks.extend(runs, self._now() + seconds)

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Write down what became of ticks; see `aioq.protocols.TickLedger.record_ticks`."""
        self._ticks.record(records, self._now())

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Have an entry fire no more; see `aioq.protocols.TickLedger.pause_cron`."""
        return self._ticks.pause(cron, note, by, self._now())

    async def resume_cron(self, cron: CronKey) -> bool:
        """Have an entry fire again; see `aioq.protocols.TickLedger.resume_cron`."""
        return self._ticks.resume(cron, self._now())

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return what is known of entries; see `aioq.protocols.TickLedger.cron_statuses`."""
        return self._ticks.statuses(app, self._now())

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return what is known of an entry; see `aioq.protocols.TickLedger.cron_status`."""
        return self._ticks.status(cron, self._now())

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry; see `aioq.protocols.TickLedger.tick_history`."""
        return self._ticks.history(cron, limit)

    # How it is done

    def _now(self) -> float:
        """Return the broker's clock, having dropped the records whose time is up."""
        now = self._steady.time()
        while self._expiry and self._expiry[0][0] <= now:
            _, job_id, finished_at = heapq.heappop(self._expiry)
            stored = self._jobs.get(job_id)
            if stored and stored.finished_at == finished_at and stored.state in FINAL_STATES:
                self._forget(stored)
        return now

    def _admit(self, job: NewJob, now: float) -> None:
        run_at = now + job.delay if job.run_at is None else job.run_at
        state = JobState.SCHEDULED if run_at > now else JobState.PENDING
        stored = StoredJob(job=job, enqueued_at=now, state=state, run_at=run_at)
        self._jobs[job.id] = stored
        line = self._lines[job.queue]
        line.promote(now)  # what came due before this one goes before it
        line.admit(stored)
        self._wakes.wake("work", job.queue)

    def _take(self, request: ClaimRequest, now: float) -> tuple[list[StoredJob], bool]:
        """Return what a request takes, and whether its worker is to take nothing more until it is empty."""
        taken: list[StoredJob] = []
        for queue in request.queues:
            self._lines[queue].promote(now)
        for queue in request.queues:
            line, left = self._lines[queue], request.limit - len(taken)
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
        self._lines[queue].accused = True
        self._wakes.wake("work", queue)

    @staticmethod
    def _lease(stored: StoredJob, request: ClaimRequest, now: float) -> Lease:
        stored.epoch += 1
        stored.attempt += 1
        stored.deadline, stored.started_at = now + request.lease, now
        stored.worker_id = request.worker_id
        return stored.lease()

    def _of(self, lease: Lease) -> StoredJob | None:
        """Return the job of a lease; None when it is gone, also if another has its id by now."""
        stored = self._jobs.get(lease.job_id)
        return stored if stored and stored.enqueued_at == lease.enqueued_at else None

    def _holds(self, lease: Lease) -> bool:
        stored = self._of(lease)
        return stored is not None and stored.state is JobState.RUNNING and stored.epoch == lease.epoch

    def _settle(self, settlement: Settlement) -> Settled:
        lease = settlement.lease
        self._now()
        if not self._holds(lease):
            stored = self._of(lease)
            return Settled.ALREADY if stored and stored.epoch == lease.epoch else Settled.STALE
        stored = self._jobs[lease.job_id]
        match settlement:
            case Completed():
                stored.result = settlement.result
                self._end(stored, Verb.COMPLETE, keep=settlement.keep)
            case Failed():
                stored.failure = settlement.failure
                self._end(stored, Verb.FAIL, keep=settlement.keep)
            case Buried():
                stored.failure, stored.reason = settlement.failure, settlement.reason
                self._end(stored, Verb.BURY, keep=DEAD_KEEP)
            case Expired():
                stored.failure = settlement.failure
                self._end(stored, Verb.EXPIRE, keep=DEAD_KEEP)
            case Retried():
                stored.failure = settlement.failure or stored.failure
                self._requeue(stored, Verb.RETRY, delay=settlement.delay)
            case Released():
                stored.attempt -= 1
                self._requeue(stored, Verb.POSTPONE if settlement.delay > 0 else Verb.RELEASE, delay=settlement.delay)
        return Settled.DONE

    def _reap(self, stored: StoredJob) -> Reaped:
        stored.crashes += 1
        if stored.crashes >= stored.job.max_crashes:
            stored.reason = "crashed"
            self._end(stored, Verb.BURY, keep=DEAD_KEEP)
        else:
            self._requeue(stored, Verb.REAP)
        return Reaped(job_id=stored.job.id, queue=stored.job.queue, crashes=stored.crashes, state=stored.state)

    def _requeue(self, stored: StoredJob, verb: Verb, *, delay: float = 0.0) -> None:
        line, now = self._lines[stored.job.queue], self._steady.time()
        line.promote(now)
        stored.run_at = now + delay
        line.move(stored, verb)
        line.place(stored, front=verb in (Verb.RELEASE, Verb.REAP))
        self._wakes.wake("work", stored.job.queue)

    def _end(self, stored: StoredJob, verb: Verb, *, keep: float) -> None:
        now = self._steady.time()
        self._lines[stored.job.queue].move(stored, verb)
        stored.finished_at = now
        if keep > 0:
            heapq.heappush(self._expiry, (now + keep, stored.job.id, now))
        else:
            self._forget(stored)
        self._wakes.wake("result", stored.job.id)

    def _forget(self, stored: StoredJob) -> None:
        self._lines[stored.job.queue].forget(stored)
        del self._jobs[stored.job.id]

    def _find(self, job_id: str, queue: str | None) -> StoredJob | None:
        self._now()
        stored = self._jobs.get(job_id)
        return stored if stored and queue in (None, stored.job.queue) else None

    def _has_ready(self, queue: str) -> bool:
        line = self._lines[queue]
        line.promote(self._now())
        return line.has_work()

    def _next_due(self, request: ClaimRequest) -> float | None:
        due = [at for queue in request.queues if (at := self._lines[queue].next_due()) is not None]
        return max(0.0, min(due) - self._now()) if due else None
