# pyright: reportPrivateUsage=false
"""The SQLite broker against the suite of faults: calls that are cut off from their file, and a file that is really full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from aioq_sqlite import SqliteBroker

from aioq import BrokerFull
from aioq.protocols import Broker
from aioq.testing import FaultContract, FaultyBroker


class TestSqliteFaults(FaultContract):
    """The broker is cut off from its disk."""

    timeout = 1.0

    @pytest.fixture
    async def peer(self, tmp_path: Path) -> AsyncIterator[SqliteBroker]:
        """A broker that reaches its file."""
        peer = SqliteBroker(f"sqlite://{tmp_path}/jobs.db")
        await peer.migrate()
        await peer.connect()
        yield peer
        await peer.close()

    @pytest.fixture
    def faults(self, tmp_path: Path) -> FaultyBroker:
        """What causes the faults: between the other broker and its file, so that the broker hears of each."""
        self.inner = SqliteBroker(f"sqlite://{tmp_path}/jobs.db")
        faults = FaultyBroker(self.inner, timeout=self.timeout)
        database = self.inner._database
        database.run = partial(faults._call, database.run)  # type: ignore[method-assign]
        return faults

    @pytest.fixture
    async def broker(self, peer: SqliteBroker, faults: FaultyBroker) -> AsyncIterator[SqliteBroker]:
        """Another one on the same file, behind faults."""
        await self.inner.connect()
        yield self.inner
        faults.recover()
        await self.inner.close()

    async def calls(self, broker: Broker, peer: Broker) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """Return a call of each method that needs the file: the clock is that of the host."""
        return {name: call for name, call in (await super().calls(broker, peer)).items() if name != "time"}

    async def fill(self) -> None:
        """Let the file grow no more, and use up what is left of its pages."""
        self._limit_pages(1)  # SQLite takes the present size if that is larger
        for size in (2_000, 200, 1):
            for number in range(10_000):
                filler = self.job(f"filler-{size}-{number}", queue="filler", payload=b"x" * size)
                try:
                    await self.inner.enqueue([filler])
                except BrokerFull:
                    break

    async def make_room(self) -> None:
        """Let the file grow again."""
        self._limit_pages(1_000_000)

    def _limit_pages(self, count: int) -> None:
        self.inner._database.transact(lambda transaction: transaction.execute(f"PRAGMA max_page_count = {count}"))
