"""The SQLite broker passes the suites that aioq ships."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from aioq_sqlite import SqliteBroker

from aioq.protocols import Broker
from aioq.testing import (
    AttemptHistoryContract,
    BrokerContract,
    ChangeLogContract,
    DiagnosableContract,
    FailuresContract,
    JobStoreContract,
    MigratableContract,
    QueueControlContract,
    SchedulesContract,
    SignalsContract,
    StatisticsContract,
    SuspectContract,
    ThreadedLeasesContract,
    TickLedgerContract,
    VirtualClock,
    WorkerRegistryContract,
)


class TestSqliteBroker(
    BrokerContract,
    AttemptHistoryContract,
    SuspectContract,
    FailuresContract,
    JobStoreContract,
    WorkerRegistryContract,
    SignalsContract,
    ThreadedLeasesContract,
    TickLedgerContract,
    StatisticsContract,
    DiagnosableContract,
    MigratableContract,
    SchedulesContract,
    QueueControlContract,
    ChangeLogContract,
):
    """Everything that a broker can be asked for."""

    virtual_time = True

    @pytest.fixture
    def clock(self) -> VirtualClock:
        """The clock of both brokers."""
        return VirtualClock()

    @pytest.fixture
    async def broker(self, tmp_path: Path, clock: VirtualClock) -> AsyncIterator[SqliteBroker]:
        """A connected broker on a file of its own."""
        self.time_of_test = clock
        broker = SqliteBroker(f"sqlite://{tmp_path}/jobs.db", clock=clock)
        await broker.migrate()
        await broker.connect()
        yield broker
        await broker.close()

    @pytest.fixture
    async def peer(self, broker: SqliteBroker, tmp_path: Path, clock: VirtualClock) -> AsyncIterator[SqliteBroker]:
        """Another one on the same file, as a second process has it."""
        peer = SqliteBroker(f"sqlite://{tmp_path}/jobs.db", clock=clock)
        await peer.connect()
        yield peer
        await peer.close()

    @pytest.fixture
    def new_broker(self, tmp_path: Path) -> SqliteBroker:
        """One whose file does not exist."""
        return SqliteBroker(f"sqlite://{tmp_path}/new.db")

    async def pass_time(self, seconds: float) -> None:
        """Advance the clock of the brokers."""
        await self.time_of_test.advance(seconds)

    @staticmethod
    def schemes(broker: Broker) -> list[str]:
        """The suites also run on copies of the package that are not installed."""
        return ["sqlite"]

    async def cut_connections(self, broker: Broker) -> None:
        """Take the table away from which the broker's thread reads, long enough for it to notice."""
        assert isinstance(broker, SqliteBroker)
        with closing(sqlite3.connect(broker._database.path, isolation_level=None)) as thief:
            thief.execute("ALTER TABLE signals RENAME TO stolen")
            await anyio.sleep(0.05)
            thief.execute("ALTER TABLE stolen RENAME TO signals")

    async def settle_down(self) -> None:
        """Let a waiter reach its wait: its first look at the file takes a thread some milliseconds."""
        await anyio.sleep(0.03)
