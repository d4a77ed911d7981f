"""The broker, composed of one class for each protocol."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import url2pathname

from aioq import BrokerConfigError
from aioq.clock import Clock, SystemClock
from aioq.protocols import Signals
from aioq_sqlite.claiming import ClaimRole
from aioq_sqlite.control import ChangeLogRole, QueueControlRole
from aioq_sqlite.database import Database
from aioq_sqlite.doctor import DiagnosableRole
from aioq_sqlite.enqueueing import EnqueueRole
from aioq_sqlite.failures import FailuresRole
from aioq_sqlite.leases import LeaseRole
from aioq_sqlite.ledger import LedgerRole
from aioq_sqlite.lookup import JobStoreRole
from aioq_sqlite.schedules import ScheduleRole
from aioq_sqlite.settling import SettleRole
from aioq_sqlite.signals import SignalsRole
from aioq_sqlite.statistics import StatisticsRole
from aioq_sqlite.tick_claims import TickRole
from aioq_sqlite.workers import WorkerRole

__all__ = ["SqliteBroker"]


class SqliteBroker(
    EnqueueRole,
    ClaimRole,
    SettleRole,
    LeaseRole,
    JobStoreRole,
    FailuresRole,
    WorkerRole,
    SignalsRole,
    LedgerRole,
    TickRole,
    ScheduleRole,
    QueueControlRole,
    ChangeLogRole,
    StatisticsRole,
    DiagnosableRole,
):
    """Jobs and crons in one SQLite file, which any number of processes of one machine share.

    Jobs survive the end of every process. If the machine loses power, those of the last moments may be lost, unless
    `synchronous` is `full`: each call then waits for the disk. Dead and expired jobs are kept for 7 days,
    cancelled ones for a day.

    Args:
        url: `sqlite:///path/to/jobs.db`. `aioq broker migrate` makes the file.
        synchronous: SQLite's setting of that name, `normal` or `full`.
        clock: The clock of the broker; a test may pass its own.

    Raises:
        BrokerConfigError: The URL does not name a file, or `synchronous` is another word.
    """

    protocol_version = 1
    finds_poison_jobs = True
    stores_attempts = True

    def __init__(self, url: str, *, synchronous: str = "normal", clock: Clock | None = None) -> None:
        if synchronous not in ("normal", "full"):
            raise BrokerConfigError(f"synchronous is normal or full, got {synchronous!r}")
        super().__init__(Database(_path(url), clock or SystemClock(), synchronous=synchronous))

    def __repr__(self) -> str:
        return f"SqliteBroker({self._database.path!r})"

    async def connect(self) -> None:
        """Open the file; see `aioq.protocols.Broker.connect`."""
        await self._database.run(self._database.open)

    async def close(self) -> None:
        """Close the file; see `aioq.protocols.Broker.close`."""
        self._listener.close()
        await self._database.run(self._database.close)

    def unsupported(self) -> Mapping[object, str]:
        """Return what the file does not allow; see `aioq.protocols.Restricted.unsupported`."""
        if self._database.has_snapshots:
            return {}
        # Each look of a listener would hold up the writers.
        return {Signals: "the file is not in WAL mode, which SQLite does not offer on every file system"}

    async def missing_migrations(self) -> list[str]:
        """Return what the schema of the file lacks; see `aioq.protocols.Migratable.missing_migrations`."""
        return await self._database.run(self._database.missing_migrations)

    async def migrate(self) -> list[str]:
        """Make the file or change its schema; see `aioq.protocols.Migratable.migrate`."""
        return await self._database.run(self._database.migrate)

    async def time(self) -> float:
        """Return the clock of this machine: a file has none of its own."""
        return self._database.clock.time()


def _path(url: str) -> str:
    parts = urlsplit(url)
    # Not the URL in the message: what follows a wrong scheme may be the password of another store.
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.path in ("", "/"):
        raise BrokerConfigError("a file is named by an absolute path, as in sqlite:///var/lib/app/jobs.db")
    return url2pathname(parts.path)
