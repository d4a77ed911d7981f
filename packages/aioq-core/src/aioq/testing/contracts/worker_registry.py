"""What a broker that knows its workers must do."""

from __future__ import annotations

import pytest

from aioq.discovery import lacking
from aioq.model.job import WorkerInfo
from aioq.protocols import Broker, WorkerRegistry
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["WorkerRegistryContract"]


class WorkerRegistryContract(BrokerSuite):
    """The suite for `aioq.protocols.WorkerRegistry`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def registry(self, broker: Broker) -> WorkerRegistry:
        """The broker, as a registry of workers."""
        assert isinstance(broker, WorkerRegistry), f"it lacks {lacking(broker, WorkerRegistry)}"
        return broker

    @staticmethod
    def worker(id: str, running: int = 0) -> WorkerInfo:
        """Return what a worker would say of itself."""
        return WorkerInfo(
            id=id, queues=("q", "other"), concurrency=10, running=running, hostname="h", pid=7, started_at=1.5
        )

    async def test_workers_are_listed_while_they_are_up(self, registry: WorkerRegistry) -> None:
        """A heartbeat makes a worker known with all that it says, and the next one updates it."""
        assert await registry.list_workers() == []
        await registry.heartbeat(self.worker("w2"), ttl=60)
        await registry.heartbeat(self.worker("w1"), ttl=60)
        await registry.heartbeat(self.worker("w2", running=3), ttl=60)
        assert await registry.list_workers() == [self.worker("w1"), self.worker("w2", running=3)]

    async def test_a_silent_worker_is_forgotten(self, registry: WorkerRegistry) -> None:
        """Without a heartbeat a worker is gone after its time to live, and comes back with the next."""
        await registry.heartbeat(self.worker("w1"), ttl=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert await registry.list_workers() == []
        await registry.heartbeat(self.worker("w1"), ttl=60)
        assert await registry.list_workers() == [self.worker("w1")]

    async def test_a_worker_that_leaves_is_forgotten_at_once(self, registry: WorkerRegistry) -> None:
        """Deregistering is immediate, and may be repeated."""
        await registry.heartbeat(self.worker("w1"), ttl=60)
        await registry.deregister("w1")
        await registry.deregister("w1")
        assert await registry.list_workers() == []
