"""The broker: implements the protocols of aioq on Redis or Valkey."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import CoroutineType
from typing import Any, Final

from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.model.health import Finding
from aioq_redis.client.errors import ErrorReply
from aioq_redis.client.pipeline import Command
from aioq_redis.client.url import Durability, Settings
from aioq_redis.cron.ledger import TickLedgerRole
from aioq_redis.cron.registry import CronRegistryRole
from aioq_redis.cron.schedules import SchedulesRole
from aioq_redis.doctor import Doctor
from aioq_redis.jobs.changes import ChangeLogRole
from aioq_redis.jobs.claim import ClaimRole
from aioq_redis.jobs.enqueue import EnqueueRole
from aioq_redis.jobs.failures import FailuresRole
from aioq_redis.jobs.lease_keeper import ThreadLeaseKeeper
from aioq_redis.jobs.reap import ReapRole
from aioq_redis.jobs.settle import SettleRole
from aioq_redis.jobs.signals import SignalsRole
from aioq_redis.jobs.stops import QueueControlRole
from aioq_redis.jobs.store import JobStoreRole
from aioq_redis.jobs.workers import WorkerRegistryRole
from aioq_redis.statistics.counts import StatisticsRole
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import FORMAT, KEYS_OF_FORMAT_0, Layout
from aioq_redis.storage.retention import Retention
from aioq_redis.storage.scripts import COMMANDS, load

__all__ = ["RedisBroker"]

NODE_LAG: Final = 1.0
"""Seconds after which `connect` goes on without a node of a cluster while others have answered."""

logger = logging.getLogger("aioq.redis")


class RedisBroker(
    EnqueueRole, ClaimRole, ReapRole, JobStoreRole, FailuresRole, SignalsRole, WorkerRegistryRole, TickLedgerRole,
    CronRegistryRole, SchedulesRole, QueueControlRole, ChangeLogRole, StatisticsRole,
):  # fmt: skip
    """Stores jobs and cron entries in Redis 6.2 or later, or in Valkey. Any number of processes share them.

    Each step of a job is one script on the server's clock. The broker connects when it is first used, and
    reconnects by itself. It keeps connections for each asyncio event loop and each process, also a forked one, so
    every thread can use it with `asyncio.run`. They are closed with their loop, or by `close`.

    On a cluster a queue is stored on one node, so an app uses several nodes by having several queues. A call that
    concerns several queues waits for the slowest of their nodes. The clocks of the nodes should agree.

    A user with an ACL needs the keys and channels of `{namespace[:}]*`, and the commands of `+@read +@write
    +@connection +@pubsub +time +eval +evalsha +script|load -@dangerous`; on a cluster `+cluster|slots` too. Redis 6.2
    has three commands in none of these groups: `+select` for another database than 0, `+asking` on a cluster, `+wait`
    for replicas. Without `+@pubsub` the broker polls for results, and workers notice cancellations late.

    A job id is unique in its queue. If `enqueue` gets jobs of several queues, it checks all of them first and then
    stores them queue by queue. If the server fails or is full in between, the jobs of the first queues stay stored.
    The record of a completed job has its payload only if that takes no more than 1024 bytes.

    Args:
        url: `redis://user:password@host:port/db`, with `rediss` for TLS, `unix:///path?db=2`
            for a socket, or `valkey` and `valkeys` for the first two. `redis+cluster://host:port`
            names one or more nodes of a cluster, separated by commas, and
            `redis+sentinel://host:port,host:port/service/db` the sentinels of a service, with
            `?sentinel_username=` and `sentinel_password` to log in there. Percent-encode special
            characters in a user name or password. TLS checks the certificate and the host name;
            `?ssl_ca_certs=file` is the file of the authority, `ssl_certfile` and `ssl_keyfile` are the
            client's certificate, and `ssl_cert_reqs=none` turns the checks off.
        namespace: The prefix of all keys: apps with different namespaces share a server and no data.
        timeout: Seconds after which a call raises `BrokerUnavailable`, retries after a lost connection included. While
            bytes of the call leave, or bytes of its reply arrive, it goes on. A connection that is silent for half of
            `timeout`, but not less than 5 s, is replaced; a shorter `timeout` is the limit of silence, too.
        durability: `primary`; or `replica:N`, and `enqueue` returns when N replicas have the jobs, too. It costs a
            connection and a round trip to the replicas. `enqueue` raises `NotReplicated` if they do not answer
            within half of `timeout`. Jobs of `Aarq.schedule` do not wait for replicas.
        dead_ttl: Seconds to keep dead and expired jobs.
        dead_limit: How many dead, and how many expired jobs to keep in each queue; the oldest are removed.
        cancelled_ttl: Seconds to keep cancelled jobs.

    Raises:
        BrokerConfigError: The URL is malformed, or has an unknown option.
        ValueError: Another argument is out of range; the message names it.
    """

    protocol_version = 1
    finds_poison_jobs = True
    stores_attempts = True

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
        self._probed = layout.queue("default")

    def __repr__(self) -> str:
        return f"RedisBroker({self._settings.masked!r}, namespace={self._layout.namespace!r})"

    async def connect(self) -> None:
        """Connect, and check the server. Connecting twice does nothing.

        If no server answers it fails at once; a connection that breaks is tried again, within `timeout`. On a cluster
        one node that answers is enough; calls on the queues of the others fail.

        Raises:
            BrokerUnavailable: No server answers at the address.
            BrokerConfigError: The server is too old, or rejects the user, or has data of a release that stored
                another format in this namespace.
        """
        if self._settings.tls and not self._settings.verify:
            logger.warning(
                "%s: ssl_cert_reqs=none, so another host can pose as the server",
                self._settings.masked,
                extra={"event": "tls_unverified"},
            )
        # All in one round trip. They share a connection, so they fail together.
        checks = asyncio.ensure_future(self._database.ask_together(self._checks()))
        try:
            policies = await self._database.ask_all("CONFIG", "GET", "maxmemory-policy", lag=NODE_LAG)
            # An error reply means that the user must not read the configuration; then it goes unchecked.
            self._warn_of_eviction({reply[1] for reply in policies.values() if isinstance(reply, list) and reply})
            if any(isinstance(reply, BrokerUnavailable) for reply in policies.values()):
                # A client must be able to use the queues of the other nodes. What goes unchecked fails with a job.
                with suppress(BrokerUnavailable, TimeoutError):
                    await self._judge(await asyncio.wait_for(checks, NODE_LAG))
            else:
                await self._judge(await checks)
        finally:
            if not checks.done():
                checks.cancel()
            elif not checks.cancelled():
                # Read, so that asyncio does not log an error that comes with that of `ask_all`.
                checks.exception()

    async def _judge(self, checks: Sequence[Any]) -> None:
        """Raise an error if the replies to the checks say that the broker cannot be used."""
        probe, format_0, by_sha, missing, *waited = checks
        # Before the probe: a script that lacks a right says so, but not which one.
        self._check_rights(missing)
        # If the user must not run scripts on these keys, fail now and not with the first job.
        if isinstance(probe, ErrorReply):
            # The call explains the error.
            await self._database.call("peek", self._probed, ())
        self._check_format(format_0)
        for what, reply in (("a script by its digest", by_sha), *(("WAIT", reply) for reply in waited)):
            if isinstance(reply, ErrorReply):
                raise self._database.rejected(what, reply)

    def _checks(self) -> list[Callable[[], Command]]:
        """Return what makes the commands that show what the server and the user's rights lack."""
        peek, rights = load("peek"), load("missing_rights")
        keys, keys_of_rights = self._probed.pick(peek.keys), self._probed.pick(rights.keys)
        keys_of_format_0 = [self._layout.fleet.key(name) for name in KEYS_OF_FORMAT_0]
        checks = [
            partial(Command, peek, keys, (), whole=True),
            partial(Command, None, (), ("EXISTS", *keys_of_format_0)),
            # After the call with its text, so the server knows the digest.
            partial(Command, peek, keys, ()),
            partial(Command, rights, keys_of_rights, (" ".join(COMMANDS),), whole=True),
        ]
        # It returns at once: it waits for no replica.
        return [*checks, partial(Command, None, (), ("WAIT", "0", "0"))] if self._durability.replicas else [*checks]

    def _check_rights(self, missing: Sequence[bytes] | ErrorReply) -> None:
        """Raise an error if the user lacks rights to commands that scripts run; it names all of them."""
        if missing and not isinstance(missing, ErrorReply):
            rights = " ".join(f"+{name.decode().lower()}" for name in missing)
            raise BrokerConfigError(
                f"{self._settings.masked} does not permit commands that the scripts of aioq run; extend the user's "
                f"ACL with {rights}"
            )

    def _check_format(self, format_0: int | ErrorReply) -> None:
        """Raise an error if a release that stored another format has used the namespace."""
        if isinstance(format_0, ErrorReply):
            raise self._database.rejected("EXISTS", format_0)
        if format_0:
            namespace = self._layout.namespace
            raise BrokerConfigError(
                f"the data in namespace {namespace} were stored by an aioq before 0.5.0 (format 0, this release reads "
                f"format {FORMAT}): let the old release finish its jobs, then delete the keys that begin with "
                f"{{{namespace}}} or {{{namespace}:"
            )

    def _warn_of_eviction(self, policies: set[bytes]) -> None:
        for policy in policies - {b"noeviction"}:
            logger.warning(
                "%s has maxmemory-policy %s and may evict jobs; set it to noeviction",
                self._settings.masked,
                policy.decode(),
                extra={"event": "eviction_possible"},
            )

    def close(self) -> CoroutineType[Any, Any, None]:
        """Close all connections. Closing twice does nothing; the next call connects again."""
        return self._database.close()  # type: ignore[return-value]  # mypy's type is wider than the object

    async def time(self) -> float:
        """Return the server's clock."""
        seconds, microseconds = await self._database.command("TIME")
        return int(seconds) + int(microseconds) / 1_000_000

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        self._claims.pop(worker_id, None)
        await super().deregister(worker_id)

    def keeper(self, *, timeout: float = 5.0) -> ThreadLeaseKeeper:
        """Return an object that extends leases from a thread; see `aioq.protocols.ThreadedLeases.keeper`."""
        database = Database(self._settings, timeout=timeout, durability=self._durability)
        return ThreadLeaseKeeper(SettleRole(database, self._layout, self._retention), database)

    async def diagnose(self, *, fix: bool = False) -> list[Finding]:
        """Check the server and the stored data; see `aioq.protocols.Diagnosable.diagnose`."""
        # The doctor is not a role: only the command line needs it, and it reads everything that the roles have written.
        return await Doctor(self._database, self._layout, self).diagnose(fix=fix)
