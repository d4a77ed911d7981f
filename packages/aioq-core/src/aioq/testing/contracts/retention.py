"""Tests how long a broker remembers requests and jobs that have ended."""

from __future__ import annotations

import pytest
from msgspec import structs

from aioq.conformance import supports
from aioq.model.job import Dead
from aioq.model.states import JobState
from aioq.protocols import Broker, JobStore
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["RetentionContract"]

HOUR, DAY = 3600.0, 86_400.0


class RetentionContract(BrokerSuite):
    """What is remembered for a time must not be forgotten earlier."""

    async def test_claim_repeated_later_returns_same_leases(self, broker: Broker) -> None:
        """A request is remembered as long as its leases are held: an answer may be lost in a long outage."""
        await broker.enqueue([self.job(id) for id in "ab"])
        request = self.request(1, lease=DAY)
        first = await broker.claim(request)
        await self.pass_long(HOUR)
        assert (await broker.claim(request)).leases == first.leases

    async def test_claim_that_arrives_late_takes_nothing(self, broker: Broker) -> None:
        """A request that arrives after its repetition with limit 0, however late, takes no job."""
        request = self.request(1)
        assert (await broker.claim(structs.replace(request, limit=0))).leases == []
        await self.pass_long(HOUR)
        await broker.enqueue([self.job("a")])
        assert (await broker.claim(request)).leases == []
        assert len(await self.claim(broker, worker="w2")) == 1

    async def test_settle_dead_job_is_kept_for_a_day(self, broker: Broker) -> None:
        """A dead job is kept until an operator has had time to look at it."""
        store = broker
        if not supports(store, JobStore):
            pytest.skip("a broker that is not a JobStore has no records")
        await broker.enqueue([self.job("a")])
        await broker.settle([Dead(lease=await self.claim_one(broker), reason="malformed")])
        await self.pass_long(DAY)
        record = await store.get_job("a", queue="q")
        assert record is not None
        assert record.state is JobState.DEAD
        assert [dead.id for dead in await store.list_dead_jobs("q")] == ["a"]

    async def test_cancel_job_is_kept_for_an_hour(self, broker: Broker) -> None:
        """A cancelled job is kept, so that it can be looked up and replayed."""
        store = broker
        if not supports(store, JobStore):
            pytest.skip("a broker that is not a JobStore cancels nothing")
        await broker.enqueue([self.job("a")])
        assert await store.cancel_job("a", queue="q") is True
        await self.pass_long(HOUR)
        record = await store.get_job("a", queue="q")
        assert record is not None
        assert record.state is JobState.CANCELLED
