"""Tests `aioq.protocols.ThreadedLeases`."""

from __future__ import annotations

from collections.abc import Iterator

import anyio.to_thread
import pytest

from aioq.conformance import lacking
from aioq.errors import BrokerUnavailable
from aioq.model.job import Completed, Settled
from aioq.protocols import Broker, LeaseKeeper, ThreadedLeases
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["ThreadedLeasesContract"]


class ThreadedLeasesContract(BrokerSuite):
    """The suite for `aioq.protocols.ThreadedLeases`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def keeper(self, broker: Broker) -> Iterator[LeaseKeeper]:
        """What extends leases without an event loop."""
        assert isinstance(broker, ThreadedLeases), f"it lacks {lacking(broker, ThreadedLeases)}"
        keeper = broker.keeper()
        yield keeper
        keeper.close()

    async def test_lease_keeper_extends_while_loop_is_blocked(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """The keeper extends the lease from now without the event loop."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker, lease=self.tick)
        # Called in the loop's own thread, which it blocks: the keeper must not need the loop.
        assert keeper.extend([lease], seconds=600) == []
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["q"]) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]

    async def test_lease_keeper_returns_lost_leases(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """Lost leases of several queues are returned, and the others are extended."""
        lost = await self.expire(broker, "a")
        await broker.reap(["q"])
        await broker.enqueue([self.job("b", queue="other"), self.job("c")])
        held = await self.claim(broker, queues=("other", "q"), worker="w2", lease=self.tick)
        assert keeper.extend([lost, *held], seconds=600) == [lost]
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["q", "other"]) == []

    async def test_lease_keeper_without_leases_returns_nothing(self, keeper: LeaseKeeper) -> None:
        """Extending no lease returns an empty list."""
        assert keeper.extend([], seconds=60) == []

    async def test_lease_keeper_works_in_another_thread(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """The keeper works in another thread than the one that made it."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        assert await anyio.to_thread.run_sync(lambda: keeper.extend([lease], seconds=600)) == []

    async def test_lease_keeper_closed_raises(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """Closing twice is allowed; extending afterwards raises."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        keeper.close()
        keeper.close()
        with pytest.raises(BrokerUnavailable):
            keeper.extend([lease], seconds=60)
