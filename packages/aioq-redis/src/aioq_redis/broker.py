"""The broker: the protocols of aioq on one Redis or Valkey server."""

from __future__ import annotations

import logging
from typing import Any, Final

from aioq.errors import BrokerConfigError
from aioq.model.health import Finding
from aioq_redis.client.errors import ErrorReply
from aioq_redis.client.url import CLUSTER, Durability, Settings
from aioq_redis.cron.ledger import TickLedgerRole
from aioq_redis.cron.registry import CronRegistryRole
from aioq_redis.doctor import Doctor
from aioq_redis.jobs.claim import ClaimRole
from aioq_redis.jobs.enqueue import EnqueueRole
from aioq_redis.jobs.lease_keeper import EXTEND_TIMEOUT, ThreadLeaseKeeper
from aioq_redis.jobs.settle import SettleRole
from aioq_redis.jobs.signals import SignalsRole
from aioq_redis.jobs.store import JobStoreRole
from aioq_redis.jobs.workers import WorkerRegistryRole
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention

__all__ = ["RedisBroker"]

OLDEST: Final = (6, 2)

logger = logging.getLogger("aioq.redis")


class RedisBroker(
    EnqueueRole, ClaimRole, JobStoreRole, SignalsRole, WorkerRegistryRole, TickLedgerRole, CronRegistryRole
):
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
        layout = Layout(namespace)
        self._durability = Durability.parse(durability, timeout / 2)
        database = Database(self._settings, timeout=timeout, durability=self._durability)
        retention = Retention(dead_ttl=dead_ttl, dead_limit=dead_limit, cancelled_ttl=cancelled_ttl)
        super().__init__(database, layout, retention)

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
        hello = await self._database.everywhere("HELLO", "2")
        if isinstance(hello, ErrorReply):
            raise self._database.refused("HELLO", hello)
        for said in hello.values():
            _check(self._settings, dict(zip(said[::2], said[1::2], strict=True)))
        policies = await self._database.everywhere("CONFIG", "GET", "maxmemory-policy")
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
        await self._database.call("peek", self._layout.queue("default"), ())

    async def close(self) -> None:
        """Close all connections. Closing twice does nothing; the next call connects again."""
        await self._database.close()

    async def time(self) -> float:
        """Return the server's clock."""
        seconds, microseconds = await self._database.command("TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        self._claims.pop(worker_id, None)
        await super().deregister(worker_id)

    def keeper(self) -> ThreadLeaseKeeper:
        """Return what extends leases from a thread; see `aioq.protocols.ThreadedLeases.keeper`."""
        database = Database(self._settings, timeout=EXTEND_TIMEOUT, durability=self._durability)
        return ThreadLeaseKeeper(SettleRole(database, self._layout, self._retention), database)

    async def diagnose(self) -> list[Finding]:
        """Look for what is wrong with the store; see `aioq.protocols.Diagnosable.diagnose`."""
        return await Doctor(self._database, self._layout, self).diagnose()


def _check(settings: Settings, hello: dict[bytes, Any]) -> None:
    """Insist that a server is one that we can work with, and what the URL says it is."""
    version, mode = hello[b"version"].decode(), hello[b"mode"]
    if mode == b"sentinel":
        raise BrokerConfigError(f"{settings.masked} is a sentinel; write redis+sentinel://host:port/service")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise BrokerConfigError(f"{settings.masked} is Redis {version}; aioq needs 6.2 or later, or Valkey")
    if mode == b"cluster" and settings.kind != CLUSTER:
        raise BrokerConfigError(f"{settings.masked} is a node of a cluster; write redis+cluster://host:port")
