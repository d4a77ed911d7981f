"""The memory broker against the shipped suites, on a virtual clock."""

from __future__ import annotations

import pytest

from aioq.backends import MemoryBroker
from aioq.testing import (
    AttemptHistoryContract,
    BrokerContract,
    ChangeLogContract,
    FailuresContract,
    JobStoreContract,
    QueueControlContract,
    SchedulesContract,
    SignalsContract,
    StatisticsContract,
    SuspectContract,
    TickLedgerContract,
    VirtualClock,
    WorkerRegistryContract,
)


class TestMemoryBroker(
    BrokerContract,
    AttemptHistoryContract,
    FailuresContract,
    SuspectContract,
    JobStoreContract,
    WorkerRegistryContract,
    SignalsContract,
    TickLedgerContract,
    SchedulesContract,
    QueueControlContract,
    ChangeLogContract,
    StatisticsContract,
):
    """Everything that a broker can be asked for."""

    virtual_time = True

    @pytest.fixture
    def clock(self) -> VirtualClock:
        """The clock that broker and test share."""
        return VirtualClock()

    @pytest.fixture
    def broker(self, clock: VirtualClock) -> MemoryBroker:
        """A broker whose time passes only when the test says so."""
        self.time_of_test = clock
        return MemoryBroker(clock=clock)

    @pytest.fixture
    def peer(self, broker: MemoryBroker) -> MemoryBroker:
        """The same: other processes know nothing of its jobs."""
        return broker

    async def pass_time(self, seconds: float) -> None:
        """Advance the broker's clock."""
        await self.time_of_test.advance(seconds)

    async def settle_down(self) -> None:
        """Let a waiter start waiting."""
        await self.time_of_test.settle()
