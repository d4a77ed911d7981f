"""Brokers that fail or lack methods, as a test chooses."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from anyio import Event
from anyio.lowlevel import checkpoint
from msgspec import structs

from aioq.backends import MemoryBroker
from aioq.clock import Clock
from aioq.errors import BrokerUnavailable, MigrationRequired, PartlyUnavailable
from aioq.model.cron import (
    Attendance,
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    Registration,
    TickClaim,
    TickOutcome,
    TickRecord,
    TickReply,
    TickRun,
)
from aioq.model.job import (
    Claim,
    ClaimRequest,
    JobRecord,
    Lease,
    NewJob,
    Reaped,
    Settled,
    Settlement,
)
from aioq.model.schedules import DueSchedules, Firing
from aioq.model.statistics import Count
from aioq.model.workers import WorkerInfo

T = TypeVar("T")


@dataclass
class Fault:
    """An error that is raised instead of a call, or after it if only the answer is lost."""

    error: Exception
    answer_lost: bool


class FlakyBroker(MemoryBroker):
    """A memory broker whose calls yield once, are counted, and fail when a test says so."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.calls: Counter[str] = Counter()
        self.batches: list[list[Settlement]] = []
        self.requests: list[ClaimRequest] = []
        self.bids: list[TickClaim] = []
        self._faults: dict[str, deque[Fault]] = {}
        self._broken: dict[str, Exception] = {}

    def fail(self, method: str, *errors: Exception, answer_lost: bool = False) -> None:
        """Make the next calls of a method raise these errors, one each."""
        self._faults.setdefault(method, deque()).extend(Fault(error, answer_lost) for error in errors)

    def go_down(self, *methods: str, error: Exception | None = None) -> None:
        """Make every call of these methods (of all if none are named) fail until `come_up`."""
        self._broken.update(dict.fromkeys(methods or ("*",), error or BrokerUnavailable("connection refused")))

    def come_up(self) -> None:
        """End the effect of `go_down`."""
        self._broken.clear()

    async def _shaky(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls[method] += 1
        await checkpoint()
        if error := self._broken.get(method) or self._broken.get("*"):
            raise error
        fault = self._faults[method].popleft() if self._faults.get(method) else None
        if fault and not fault.answer_lost:
            raise fault.error
        answer = await call()
        await checkpoint()
        if fault:
            raise fault.error
        return answer

    async def connect(self) -> None:
        """Connect, or fail."""
        await self._shaky("connect", super().connect)

    async def close(self) -> None:
        """Close, or fail."""
        await self._shaky("close", super().close)

    async def time(self) -> float:
        """Tell the time, or fail."""
        return await self._shaky("time", super().time)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Enqueue, or fail."""
        whole = super().enqueue
        return await self._shaky("enqueue", lambda: whole(jobs))

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim, or fail."""
        whole = super().claim
        self.requests.append(request)
        return await self._shaky("claim", lambda: whole(request))

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend, or fail."""
        whole = super().extend
        return await self._shaky("extend", lambda: whole(leases, seconds=seconds))

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settle, or fail."""
        whole = super().settle
        self.batches.append(list(settlements))
        return await self._shaky("settle", lambda: whole(settlements))

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Reap, or fail."""
        whole = super().reap
        return await self._shaky("reap", lambda: whole(queues, lease=lease, limit=limit))

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Look a job up, or fail."""
        whole = super().get_job
        return await self._shaky("get_job", lambda: whole(job_id, queue=queue))

    async def add_counts(self, counts: Sequence[Count], *, reporter: str, number: int) -> float:
        """Add counts, or fail."""
        whole = super().add_counts
        return await self._shaky("add_counts", lambda: whole(counts, reporter=reporter, number=number))

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Note a worker, or fail."""
        whole = super().heartbeat
        await self._shaky("heartbeat", lambda: whole(worker, ttl=ttl))

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker, or fail."""
        whole = super().deregister
        await self._shaky("deregister", lambda: whole(worker_id))

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Wait and claim, or fail."""
        whole = super().wait_and_claim
        return await self._shaky("wait_and_claim", lambda: whole(request, timeout=timeout, idle=idle))

    async def reserve_schedules(
        self, queues: Sequence[str], tasks: Collection[str], *, limit: int, seconds: float
    ) -> DueSchedules:
        """Reserve schedules, or fail."""
        call = partial(super().reserve_schedules, queues, tasks, limit=limit, seconds=seconds)
        return await self._shaky("reserve_schedules", call)

    async def fire_schedules(self, firings: Sequence[Firing]) -> list[TickOutcome]:
        """Fire schedules, or fail."""
        return await self._shaky("fire_schedules", partial(super().fire_schedules, firings))

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make entries those of an app, or fail."""
        whole = super().register_crons
        return await self._shaky("register_crons", lambda: whole(app, version, crons, ttl=ttl))

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Say that a worker is up, or fail."""
        whole = super().renew_registration
        return await self._shaky("renew_registration", lambda: whole(app, version, ttl=ttl, worker=worker))

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide on a tick, or fail."""
        whole = super().claim_tick
        self.bids.append(claim)
        return await self._shaky("claim_tick", lambda: whole(claim))

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims, or fail."""
        whole = super().claim_ticks
        return await self._shaky("claim_ticks", lambda: whole(claims))

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Lengthen runs, or fail."""
        whole = super().extend_runs
        return await self._shaky("extend_runs", lambda: whole(runs, seconds=seconds))

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Write ticks down, or fail."""
        whole = super().record_ticks
        await self._shaky("record_ticks", lambda: whole(records))

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Pause an entry, or fail."""
        whole = super().pause_cron
        return await self._shaky("pause_cron", lambda: whole(cron, note=note, by=by))

    async def resume_cron(self, cron: CronKey) -> bool:
        """Resume an entry, or fail."""
        whole = super().resume_cron
        return await self._shaky("resume_cron", lambda: whole(cron))

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Tell of entries, or fail."""
        whole = super().cron_statuses
        return await self._shaky("cron_statuses", lambda: whole(app))

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Tell of an entry, or fail."""
        whole = super().cron_status
        return await self._shaky("cron_status", lambda: whole(cron))

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Tell of an entry's ticks, or fail."""
        whole = super().tick_history
        return await self._shaky("tick_history", lambda: whole(cron, limit=limit))


class PartedBroker(FlakyBroker):
    """A broker whose queues can be away, as those of a cluster's node.

    Attributes:
        away: The queues that cannot be reached.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self.away: set[str] = set()

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim from the queues that can be reached."""
        return self._part(request.queues, await super().claim(self._reachable(request)))

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Wait for the queues that can be reached."""
        claim = await super().wait_and_claim(self._reachable(request), timeout=timeout, idle=idle)
        return self._part(request.queues, claim)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend the leases of queues that can be reached."""
        here = [lease for lease in leases if lease.queue not in self.away]
        return self._part([lease.queue for lease in leases], await super().extend(here, seconds=seconds))

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settle the jobs of queues that can be reached."""
        away = [one.lease.queue in self.away for one in settlements]
        answers = iter(await super().settle([one for one, gone in zip(settlements, away, strict=True) if not gone]))
        queues = [one.lease.queue for one in settlements]
        found: Any = [None if gone else next(answers) for gone in away]
        return self._part(queues, found)

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Reap in the queues that can be reached."""
        here = [queue for queue in queues if queue not in self.away]
        return self._part(queues, await super().reap(here, lease=lease, limit=limit))

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Register the entries of queues that can be reached; the version is then not in force."""
        here = [cron for cron in crons if cron.queue not in self.away]
        in_force = version if len(here) == len(crons) else "a part"
        changes = await super().register_crons(app, in_force, here, ttl=ttl)
        return self._part([cron.queue for cron in crons], changes)

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on claims of queues that can be reached."""
        away = [claim.queue in self.away for claim in claims]
        answers = iter(await super().claim_ticks([one for one, gone in zip(claims, away, strict=True) if not gone]))
        found: Any = [None if gone else next(answers) for gone in away]
        return self._part([claim.queue for claim in claims], found)

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide on a tick."""
        return self._part([claim.queue], await super().claim_tick(claim))

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Extend the runs of queues that can be reached."""
        here = [run for run in runs if run.queue not in self.away]
        return self._part([run.queue for run in runs], await super().extend_runs(here, seconds=seconds))

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Record the ticks of queues that can be reached."""
        await super().record_ticks([record for record in records if record.queue not in self.away])
        self._part([record.queue for record in records], None)

    def _reachable(self, request: ClaimRequest) -> ClaimRequest:
        return structs.replace(request, queues=tuple(queue for queue in request.queues if queue not in self.away))

    def _part(self, queues: Sequence[str], answer: T) -> T:
        """Return an answer, or raise it with the errors of the queues that are away."""
        away = {queue: BrokerUnavailable(f"the node of {queue} is away") for queue in queues if queue in self.away}
        if away and len(away) == len(set(queues)):
            raise next(iter(away.values()))
        if away:
            raise PartlyUnavailable(away, answer)
        return answer


class BareBroker:
    """A broker with the methods of `Broker` only: no signals, no records, no ledger."""

    protocol_version = 1

    def __init__(self, store: MemoryBroker | None = None) -> None:
        self.store = store or MemoryBroker()

    async def connect(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Close."""

    async def time(self) -> float:
        """Tell the time."""
        return await self.store.time()

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs."""
        return await self.store.enqueue(jobs)

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease jobs."""
        return await self.store.claim(request)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases."""
        return await self.store.extend(leases, seconds=seconds)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write outcomes."""
        return await self.store.settle(settlements)

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Take back leases."""
        return await self.store.reap(queues, lease=lease, limit=limit)


class PollableBroker(BareBroker):
    """A broker with records, but without signals."""

    def __init__(self, store: MemoryBroker) -> None:
        super().__init__(store)
        # As attributes of the object, since protocols do not see what __getattr__ makes up.
        for name in ("list_jobs", "queue_stats", "cancel_job", "retry_job", "list_dead_jobs"):
            setattr(self, name, getattr(store, name))

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Look a job up."""
        return await self.store.get_job(job_id, queue=queue)


class SchemaBroker(MemoryBroker):
    """A memory broker that needs two migrations before it can be used."""

    def __init__(self, done: int = 0) -> None:
        super().__init__()
        self.migrations = ["1: make the tables", "2: add the column priority"]
        self._done = done

    async def connect(self) -> None:
        """Connect, or raise `MigrationRequired`."""
        if missing := await self.missing_migrations():
            raise MigrationRequired(repr(self), missing)

    async def missing_migrations(self) -> list[str]:
        """Return the migrations that were not done."""
        await checkpoint()
        return self.migrations[self._done :]

    async def migrate(self) -> list[str]:
        """Do them."""
        done: list[str] = []
        while self._done < len(self.migrations):
            done.append(self.migrations[self._done])
            self._done += 1
            await checkpoint()
        return done
