"""The broker: the protocols of aioq on one Redis or Valkey server."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from anyio import Event

from aioq.errors import BrokerConfigError
from aioq.model.cron import (
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    Registration,
    TickClaim,
    TickRecord,
    TickReply,
    TickRun,
)
from aioq.model.health import Finding
from aioq.model.job import (
    Claim,
    ClaimRequest,
    JobRecord,
    Lease,
    NewJob,
    QueueStats,
    Reaped,
    Settled,
    Settlement,
    WorkerInfo,
)
from aioq.model.states import JobState
from aioq_redis.client.errors import ErrorReply
from aioq_redis.client.url import CLUSTER, Durability, Settings
from aioq_redis.cron.ledger import Ticks
from aioq_redis.cron.registry import Crons
from aioq_redis.doctor import Doctor
from aioq_redis.jobs.claim import Claiming
from aioq_redis.jobs.enqueue import Enqueueing
from aioq_redis.jobs.lease_keeper import PATIENCE, RoutedKeeper
from aioq_redis.jobs.queue_names import Naming
from aioq_redis.jobs.settle import Settling
from aioq_redis.jobs.signals import Waiting
from aioq_redis.jobs.store import Jobs
from aioq_redis.jobs.wait_and_claim import Parking
from aioq_redis.jobs.workers import Fleet
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention

__all__ = ["RedisBroker"]

OLDEST: Final = (6, 2)

logger = logging.getLogger("aioq.redis")


class RedisBroker:
    """Jobs in Redis 6.2 or later, or in Valkey: shared by any number of clients and workers.

    On a cluster all of a queue is on one node, so queues are what spreads over the nodes. What
    concerns several queues waits for the slowest of their nodes, and the nodes' clocks should agree.

    Each step of a job is one script on the server's clock. The object connects when it is
    first used, and reconnects by itself; while connected it belongs to one asyncio event
    loop, after `close` to none. A user with an ACL needs the keys and channels that begin
    with `{namespace`, and the commands of `+@read +@write +@connection +@pubsub +time +eval
    +evalsha +script|load -@dangerous`; on a cluster `+cluster|slots` too. Redis 6.2 counts three
    commands to no such group: `+select` for another database than 0, `+asking` on a cluster, `+wait`
    for copies on replicas. Without `+@pubsub` results and cancellations are asked for, not told.

    A job id is known in its queue. When `enqueue` is given jobs of several queues it looks
    at all of them first, and then stores those of one queue after those of another: a
    server that fails or fills up in between keeps the first. The record of a completed job
    has its payload only if that takes no more than 1024 bytes.

    Args:
        url: `redis://user:password@host:port/db`, with `rediss` for TLS, `unix:///path?db=2`
            for a socket, or `valkey` and `valkeys` for the first two. `redis+cluster://host:port`
            names one or more nodes of a cluster, separated by commas, and
            `redis+sentinel://host:port,host:port/service/db` the sentinels of a service, with
            `?sentinel_username=` and `sentinel_password` for themselves. Percent-encode what is
            special in a user name or password. TLS checks the certificate and the host name;
            `?ssl_ca_certs=file` names the authority, `ssl_certfile` and `ssl_keyfile` our own
            certificate, and `ssl_cert_reqs=none` checks nothing.
        namespace: What the names of all keys begin with: apps of different namespaces share
            a server and nothing else.
        timeout: Seconds that one call may take, repetitions after a lost connection
            included, before it raises `BrokerUnavailable`.
        durability: `primary`, or `replica:N` to have `enqueue` return only when N replicas have
            the jobs, too. It costs a connection and a round trip to the replicas, and raises
            `NotReplicated` when they do not answer within half of `timeout`. It is about
            `enqueue` alone, not about jobs of `Aarq.schedule`.
        dead_ttl: Seconds to keep dead and expired jobs.
        dead_limit: How many of the dead, and of the expired, to keep in each queue; the newest stay.
        cancelled_ttl: Seconds to keep cancelled jobs.

    Raises:
        BrokerConfigError: The URL is malformed, or has an option that is not known.
        ValueError: Another argument is out of its range; the message names it.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379",
        *,
        namespace: str = "aioq",
        timeout: float = 5.0,
        durability: str = "primary",
        dead_ttl: float = 7 * 86_400.0,
        dead_limit: int = 10_000,
        cancelled_ttl: float = 86_400.0,
    ) -> None:
        if not 0 < timeout <= 3600:
            raise ValueError(f"timeout must be above 0 s and at most 3600 s, got {timeout!r}")
        self._settings = Settings.from_url(url)
        self._layout = Layout(namespace)
        self._durability = Durability.parse(durability, timeout / 2)
        self._server = Database(self._settings, timeout=timeout, durability=self._durability)
        self._keeping = keeping = Retention(dead_ttl=dead_ttl, dead_limit=dead_limit, cancelled_ttl=cancelled_ttl)
        naming = Naming(self._layout)
        self._enqueueing = Enqueueing(self._server, self._layout, naming)
        self._settling = Settling(self._server, self._layout, keeping)
        self._claiming = Claiming(self._server, self._layout, self._settling)
        self._jobs = Jobs(self._server, self._layout, keeping)
        self._fleet = Fleet(self._server, self._layout)
        self._parking = Parking(self._server, self._layout, self._claiming)
        self._waiting = Waiting(self._server, self._layout)
        self._ticks = Ticks(self._server, self._layout, naming)
        self._crons = Crons(self._server, self._layout)
        self._doctor = Doctor(self._server, self._layout, self._fleet)

    def __repr__(self) -> str:
        return f"RedisBroker({self._settings.masked!r}, namespace={self._layout.namespace!r})"

    async def connect(self) -> None:
        """Try the connection, and check that the server will do. Connecting twice does nothing.

        Where nobody answers it fails at once; what breaks on the way is tried again, within `timeout`.

        Raises:
            BrokerUnavailable: Nobody answers at the address.
            BrokerConfigError: The server is too old, or does not let us in.
        """
        if self._settings.tls and not self._settings.verify:
            logger.warning("%s: ssl_cert_reqs=none, so anybody may pose as the server", self._settings.masked)
        hello = await self._server.everywhere("HELLO", "2")
        if isinstance(hello, ErrorReply):
            raise self._server.refused("HELLO", hello)
        for said in hello.values():
            _check(self._settings, dict(zip(said[::2], said[1::2], strict=True)))
        policies = await self._server.everywhere("CONFIG", "GET", "maxmemory-policy")
        # A user without the right to ask must know by other means.
        found: set[bytes] = (
            set() if isinstance(policies, ErrorReply) else {said[1] for said in policies.values() if said}
        )
        for policy in found - {b"noeviction"}:
            logger.warning(
                "%s has maxmemory-policy %s and may throw jobs away; set it to noeviction",
                self._settings.masked,
                policy.decode(),
            )
        # Who may not run scripts on our keys had better hear it now than with the first job.
        await self._server.call("peek", self._layout.queue("default"), ())

    async def close(self) -> None:
        """Close all connections. Closing twice does nothing; the next call connects again."""
        await self._server.close()

    async def time(self) -> float:
        """Return the server's clock."""
        seconds, microseconds = await self._server.command("TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    # Broker

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none; see `aioq.protocols.Broker.enqueue`."""
        return await self._enqueueing.enqueue(jobs)

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        return await self._claiming.claim(request)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.Broker.extend`."""
        return await self._settling.extend(leases, seconds=seconds)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended; see `aioq.protocols.Broker.settle`."""
        return await self._settling.settle(settlements)

    async def reap(self, queues: Sequence[str], *, limit: int = 100) -> list[Reaped]:
        """Take back expired leases; see `aioq.protocols.Broker.reap`."""
        return await self._settling.reap(queues, limit=limit)

    # JobStore

    async def get_job(self, job_id: str, *, queue: str | None = None) -> JobRecord | None:
        """Return what is known of a job; see `aioq.protocols.JobStore.get_job`."""
        return await self._jobs.get_job(job_id, queue=queue)

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one state; see `aioq.protocols.JobStore.list_jobs`."""
        return await self._jobs.list_jobs(queue, state, limit=limit, offset=offset)

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue; see `aioq.protocols.JobStore.queue_stats`."""
        return await self._jobs.queue_stats()

    async def cancel_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Call a job off; see `aioq.protocols.JobStore.cancel_job`."""
        return await self._jobs.cancel_job(job_id, queue=queue)

    async def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Put an ended job back in line; see `aioq.protocols.JobStore.retry_job`."""
        return await self._jobs.retry_job(job_id, queue=queue)

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first; see `aioq.protocols.JobStore.list_dead_jobs`."""
        return await self._jobs.list_dead_jobs(queue, limit=limit, offset=offset)

    # WorkerRegistry

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Say that a worker is up; see `aioq.protocols.WorkerRegistry.heartbeat`."""
        await self._fleet.heartbeat(worker, ttl=ttl)

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        self._claiming.forget(worker_id)
        await self._fleet.deregister(worker_id)

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up; see `aioq.protocols.WorkerRegistry.list_workers`."""
        return await self._fleet.list_workers()

    # Signals

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Claim when there is something to claim; see `aioq.protocols.Signals.wait_and_claim`."""
        return await self._parking.wait_and_claim(request, timeout=timeout, idle=idle)

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""
        return await self._waiting.wait_for_result(job_id, queue=queue, timeout=timeout)

    def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield cancelled jobs of a worker; see `aioq.protocols.Signals.aborts`."""
        return self._waiting.aborts(worker_id)

    # ThreadedLeases

    def keeper(self) -> RoutedKeeper:
        """Return what extends leases from a thread; see `aioq.protocols.ThreadedLeases.keeper`."""
        server = Database(self._settings, timeout=PATIENCE, durability=self._durability)
        return RoutedKeeper(server, Settling(server, self._layout, self._keeping))

    # TickLedger

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make `crons` the entries of an app; see `aioq.protocols.TickLedger.register_crons`."""
        return await self._crons.register(app, version, crons, ttl=ttl)

    async def renew_registration(self, app: str, version: str, *, ttl: float) -> Registration:
        """Say that a worker is up; see `aioq.protocols.TickLedger.renew_registration`."""
        return await self._crons.renew_registration(app, version, ttl=ttl)

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide who fires a tick; see `aioq.protocols.TickLedger.claim_tick`."""
        return await self._ticks.claim_tick(claim)

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims; see `aioq.protocols.TickLedger.claim_ticks`."""
        return await self._ticks.claim_ticks(claims)

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Lengthen runs and return the replaced ones; see `aioq.protocols.TickLedger.extend_runs`."""
        return await self._ticks.extend_runs(runs, seconds=seconds)

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Write down what became of ticks; see `aioq.protocols.TickLedger.record_ticks`."""
        await self._ticks.record_ticks(records)

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Have an entry fire no more; see `aioq.protocols.TickLedger.pause_cron`."""
        return await self._crons.pause(cron, note=note, by=by)

    async def resume_cron(self, cron: CronKey) -> bool:
        """Have an entry fire again; see `aioq.protocols.TickLedger.resume_cron`."""
        return await self._crons.resume(cron)

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return what is known of entries; see `aioq.protocols.TickLedger.cron_statuses`."""
        return await self._crons.statuses(app)

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return what is known of an entry; see `aioq.protocols.TickLedger.cron_status`."""
        return await self._crons.status(cron)

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry; see `aioq.protocols.TickLedger.tick_history`."""
        return await self._ticks.tick_history(cron, limit=limit)

    # Diagnosable

    async def diagnose(self) -> list[Finding]:
        """Look for what is wrong with the store; see `aioq.protocols.Diagnosable.diagnose`."""
        return await self._doctor.diagnose()


def _check(settings: Settings, hello: dict[bytes, Any]) -> None:
    """Insist that a server is one that we can work with, and what the URL says it is."""
    version, mode = hello[b"version"].decode(), hello[b"mode"]
    if mode == b"sentinel":
        raise BrokerConfigError(f"{settings.masked} is a sentinel; write redis+sentinel://host:port/service")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise BrokerConfigError(f"{settings.masked} is Redis {version}; aioq needs 6.2 or later, or Valkey")
    if mode == b"cluster" and settings.kind != CLUSTER:
        raise BrokerConfigError(f"{settings.masked} is a node of a cluster; write redis+cluster://host:port")
