"""Lists the workers that are up, and extends leases from a thread."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aioq.model.job import Lease
from aioq.model.workers import WorkerInfo
from aioq_sqlite.database import Database, Role
from aioq_sqlite.leases import extend
from aioq_sqlite.transaction import Transaction

__all__ = ["SqliteLeaseKeeper", "WorkerRole"]


class WorkerRole(Role):
    """Implements `aioq.protocols.WorkerRegistry` and `aioq.protocols.ThreadedLeases`."""

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Record that a worker is up; see `aioq.protocols.WorkerRegistry.heartbeat`."""

        def note(transaction: Transaction) -> None:
            up = (worker.id, msgspec.json.encode(worker), transaction.now + ttl)
            transaction.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?)", up)

        await self._transact(note)

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""

        def forget(transaction: Transaction) -> None:
            transaction.execute("DELETE FROM workers WHERE id = ?", (worker_id,))
            transaction.execute("DELETE FROM claims WHERE worker_id = ?", (worker_id,))

        await self._transact(forget)

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up; see `aioq.protocols.WorkerRegistry.list_workers`."""
        return await self._transact(workers_up)

    def keeper(self, *, timeout: float = 5.0) -> SqliteLeaseKeeper:
        """Return a new lease keeper; see `aioq.protocols.ThreadedLeases.keeper`."""
        return SqliteLeaseKeeper(self._database.sibling(patience=timeout))


def workers_up(transaction: Transaction) -> list[WorkerInfo]:
    """Return the workers that are up, by id."""
    up = transaction.execute("SELECT info FROM workers WHERE until > ? ORDER BY id", (transaction.now,))
    return [msgspec.json.decode(info, type=WorkerInfo) for (info,) in up]


class SqliteLeaseKeeper:
    """An `aioq.protocols.LeaseKeeper` with a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_open = False

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend leases in the calling thread; see `aioq.protocols.LeaseKeeper.extend`."""
        if not self._is_open:
            self._database.open()
            self._is_open = True
        return self._database.transact(lambda transaction: extend(transaction, leases, seconds))

    def close(self) -> None:
        """Close the connection; see `aioq.protocols.LeaseKeeper.close`."""
        self._is_open = True  # what is closed does not open again
        self._database.close()
