"""Tests `aioq.protocols.WorkerRegistry`."""

from __future__ import annotations

import pytest

from aioq.conformance import lacking
from aioq.model.tasks import ParameterInfo, TaskInfo
from aioq.model.workers import RunInfo, WorkerInfo
from aioq.protocols import Broker, WorkerRegistry
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["WorkerRegistryContract"]


TASK = TaskInfo("shop.send", "q", (ParameterInfo("to", "str", True), ParameterInfo("**kwargs", "Any", False)))


class WorkerRegistryContract(BrokerSuite):
    """The suite for `aioq.protocols.WorkerRegistry`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def registry(self, broker: Broker) -> WorkerRegistry:
        """The broker, as a registry of workers."""
        assert isinstance(broker, WorkerRegistry), f"it lacks {lacking(broker, WorkerRegistry)}"
        return broker

    @staticmethod
    def worker(id: str, running: int = 0) -> WorkerInfo:
        """Return the report of a worker."""
        return WorkerInfo(
            id=id,
            queues=("q", "other"),
            concurrency=10,
            running=running,
            hostname="h",
            pid=7,
            started_at=1.5,
            app="shop",
            all_queues=True,
            weights=(6, 1),
            tasks=(TASK,),
            tasks_left_out=2,
            stuck=1,
            runs=(RunInfo(job_id="a", queue="q", task="shop.send", attempt=2, since=3.25, stuck=True),) * running,
            memory=2**31,
            loop_lag=0.25,
            version="0.5.0",
        )

    async def test_heartbeat_lists_worker(self, registry: WorkerRegistry) -> None:
        """A heartbeat stores all fields of the worker, and the next one updates them."""
        assert await registry.list_workers() == []
        await registry.heartbeat(self.worker("w2"), ttl=60)
        await registry.heartbeat(self.worker("w1"), ttl=60)
        # The fields of a worker change while it runs.
        await registry.heartbeat(self.worker("w2", running=3), ttl=60)
        assert await registry.list_workers() == [self.worker("w1"), self.worker("w2", running=3)]

    async def test_heartbeat_expires_after_ttl(self, registry: WorkerRegistry) -> None:
        """A worker is forgotten `ttl` seconds after its heartbeat, and listed again with the next."""
        await registry.heartbeat(self.worker("w1"), ttl=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert await registry.list_workers() == []
        await registry.heartbeat(self.worker("w1"), ttl=60)
        assert await registry.list_workers() == [self.worker("w1")]

    async def test_deregister_forgets_worker_at_once(self, registry: WorkerRegistry) -> None:
        """`deregister` takes effect at once and may be repeated."""
        await registry.heartbeat(self.worker("w1"), ttl=60)
        await registry.deregister("w1")
        await registry.deregister("w1")
        assert await registry.list_workers() == []
