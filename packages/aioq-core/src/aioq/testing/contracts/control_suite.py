"""Contains the helpers that the suites of paused queues and stopped tasks share."""

from __future__ import annotations

import pytest

from aioq.conformance import lacking, supports
from aioq.protocols import Broker, JobStore, QueueControl
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["ControlSuite"]


class ControlSuite(BrokerSuite):
    """Pauses queue `q` by default."""

    @pytest.fixture
    def control(self, broker: Broker) -> QueueControl:
        """The broker, as one that a person controls."""
        assert isinstance(broker, QueueControl), f"it lacks {lacking(broker, QueueControl)}"
        return broker

    async def pause(self, control: QueueControl, queue: str = "q") -> None:
        """Pause a queue that is not paused."""
        assert await control.pause_queue(queue, note="too hot", by="ada@host")

    async def ids(
        self, broker: Broker, limit: int = 10, *, worker: str = "w1", queues: tuple[str, ...] = ("q",)
    ) -> str:
        """Claim, and return the ids of the jobs as one text."""
        leases = await self.claim(broker, limit, worker=worker, queues=queues)
        return "".join(lease.job_id for lease in leases)

    @staticmethod
    def store_of(broker: Broker) -> JobStore:
        """Return the broker as a store of jobs; skip the test if it is none."""
        if not supports(broker, JobStore):
            pytest.skip("the broker has no JobStore")
        return broker
