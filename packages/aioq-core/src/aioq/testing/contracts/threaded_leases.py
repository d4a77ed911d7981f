"""What a broker that extends leases from a thread must do."""

from __future__ import annotations

from collections.abc import Iterator

import anyio.to_thread
import pytest

from aioq.discovery import lacking
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

    async def test_a_lease_is_kept_while_the_loop_is_blocked(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """A call that nothing in the event loop has a part in extends the lease, from now."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker, lease=self.tick)
        assert keeper.extend([lease], seconds=600) == []
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["q"]) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]

    async def test_it_names_the_lost_leases(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """Over several queues the lost leases come back, and the others are extended."""
        lost = await self.expire(broker, "a")
        await broker.reap(["q"])
        await broker.enqueue([self.job("b", queue="other"), self.job("c")])
        held = await self.claim(broker, queues=("other", "q"), worker="w2", lease=self.tick)
        assert keeper.extend([lost, *held], seconds=600) == [lost]
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["q", "other"]) == []

    async def test_nothing_to_extend_is_fine(self, keeper: LeaseKeeper) -> None:
        """No lease, no answer."""
        assert keeper.extend([], seconds=60) == []

    async def test_it_may_be_used_by_another_thread(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """The thread that uses it is not the one that made it."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        assert await anyio.to_thread.run_sync(lambda: keeper.extend([lease], seconds=600)) == []

    async def test_a_closed_one_says_so(self, broker: Broker, keeper: LeaseKeeper) -> None:
        """Closing may be repeated; what is asked after it fails."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        keeper.close()
        keeper.close()
        with pytest.raises(BrokerUnavailable):
            keeper.extend([lease], seconds=60)
