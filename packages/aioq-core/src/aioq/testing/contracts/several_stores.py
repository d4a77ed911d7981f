"""Tests what a broker whose queues are in several stores does while one of them is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import anyio
import pytest

from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.job import Claim, Completed, Lease, Reaped, Settled
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["SeveralStoresContract", "Stores"]

T = TypeVar("T")

PATIENCE = 40.0
"""Seconds within which a store that is back must be used again, also on a slow machine."""


class Stores(Protocol):
    """The stores of the fixture `broker`. A test makes one of them unreachable."""

    @property
    def here(self) -> Sequence[str]:
        """Queues in the stores that stay, one in each."""
        ...

    @property
    def away(self) -> str:
        """A queue in the store that goes away."""
        ...

    async def leave(self) -> None:
        """Make the store of `away` unreachable. What it has stored stays."""
        ...

    async def come_back(self) -> None:
        """Make it reachable; return when it answers."""
        ...


class SeveralStoresContract(BrokerSuite):
    """The suite for a broker that raises `aioq.errors.PartlyUnavailable`.

    Subclass it, and define the fixtures `broker` and `stores`, the `Stores` of this broker. Each call is done for the
    queues that can be reached, and can be repeated when the store is back.
    """

    @pytest.fixture
    def stores(self) -> Stores:
        """The stores of the fixture `broker`."""
        raise NotImplementedError(f"{type(self).__name__} must define a fixture named stores")

    async def test_enqueue_other_queues_go_on(self, broker: Broker, stores: Stores) -> None:
        """A job of a queue that is away is refused, and jobs of others are stored; repeated, each is stored once."""
        await stores.leave()
        for queue in stores.here:
            assert await broker.enqueue([self.job("a", queue=queue)]) == [True]
        with pytest.raises(BrokerUnavailable):
            await broker.enqueue([self.job("a", queue=stores.away)])
        await stores.come_back()
        for queue in self.all_of(stores):
            await self.until(lambda queue=queue: broker.enqueue([self.job("a", queue=queue)]))  # type: ignore[misc]
        leases = await self.until_all(broker, stores, len(stores.here) + 1)
        assert sorted(lease.queue for lease in leases) == sorted(self.all_of(stores))

    async def test_claim_answer_has_leases_of_other_queues(self, broker: Broker, stores: Stores) -> None:
        """The error has the claim and names the queue; a later claim has its job, as a first attempt."""
        await self.enqueue_to_all(broker, stores)
        await stores.leave()
        with pytest.raises(PartlyUnavailable) as caught:
            await broker.claim(self.request(queues=self.all_of(stores)))
        answer: Claim = caught.value.answer
        assert {lease.queue for lease in answer.leases} == set(stores.here)
        assert {*caught.value.away} == {stores.away}
        await stores.come_back()
        (lease,) = await self.until_all(broker, stores, 1)
        assert (lease.queue, lease.attempt, lease.crashes) == (stores.away, 1, 0)

    async def test_settle_answer_has_none_for_queue_away(self, broker: Broker, stores: Stores) -> None:
        """Each settlement has an answer in its place, or None if it was not written; repeated, all are written."""
        leases = await self.leases_of_all(broker, stores)
        settlements = [Completed(lease=leases[queue], retain_for=60) for queue in reversed(self.all_of(stores))]
        await stores.leave()
        with pytest.raises(PartlyUnavailable) as caught:
            await broker.settle(settlements)
        assert caught.value.answer == [None, *[Settled.DONE] * len(stores.here)]
        assert {*caught.value.away} == {stores.away}
        await stores.come_back()
        answers = await self.until(lambda: broker.settle(settlements))
        assert answers == [Settled.DONE, *[Settled.ALREADY] * len(stores.here)]

    async def test_extend_answer_has_lost_leases_of_other_queues(self, broker: Broker, stores: Stores) -> None:
        """A lease that was lost is told although others cannot be extended; that of the queue away is not lost."""
        leases = await self.leases_of_all(broker, stores)
        lost = leases[stores.here[0]]
        await broker.settle([Completed(lease=lost)])
        await stores.leave()
        with pytest.raises(PartlyUnavailable) as caught:
            await broker.extend([*leases.values()], seconds=60)
        assert caught.value.answer == [lost]
        assert {*caught.value.away} == {stores.away}
        await stores.come_back()
        assert await self.until(lambda: broker.extend([*leases.values()], seconds=60)) == [lost]

    async def test_reap_answer_has_jobs_of_other_queues(self, broker: Broker, stores: Stores) -> None:
        """Leases of the other queues are taken back meanwhile, and that of the queue away later."""
        for queue in self.all_of(stores):
            await broker.reap([queue], lease=self.tick)
        await self.leases_of_all(broker, stores, lease=self.tick / 2)
        await stores.leave()
        reaped: dict[str, Reaped] = {}
        with anyio.fail_after(PATIENCE):
            while len(reaped) < len(stores.here):
                with pytest.raises(PartlyUnavailable) as caught:
                    await broker.reap(self.all_of(stores), lease=self.tick)
                reaped |= {one.queue: one for one in caught.value.answer}
                await self.pass_time(self.tick / 4)
        assert reaped.keys() == set(stores.here)
        await stores.come_back()
        with anyio.fail_after(PATIENCE):
            while not (late := await self.until(lambda: broker.reap(self.all_of(stores), lease=self.tick))):
                await self.pass_time(self.tick / 4)
        assert [one.queue for one in late] == [stores.away]

    def all_of(self, stores: Stores) -> tuple[str, ...]:
        """Return all queues, the one that goes away last."""
        return (*stores.here, stores.away)

    async def enqueue_to_all(self, broker: Broker, stores: Stores) -> None:
        """Enqueue a job to each queue."""
        for queue in self.all_of(stores):
            await broker.enqueue([self.job(f"job-{queue}", queue=queue)])

    async def leases_of_all(self, broker: Broker, stores: Stores, lease: float = 60.0) -> dict[str, Lease]:
        """Enqueue a job to each queue, and claim all of them."""
        await self.enqueue_to_all(broker, stores)
        leases = await self.claim(broker, queues=self.all_of(stores), lease=lease)
        return {lease.queue: lease for lease in leases}

    async def until(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while a store is away, as a worker does, and return its answer."""
        with anyio.fail_after(PATIENCE):
            while True:
                try:
                    return await call()
                except BrokerUnavailable:
                    await self.pass_time(self.tick / 4)

    async def until_all(self, broker: Broker, stores: Stores, count: int) -> list[Lease]:
        """Claim with new requests, as a worker does after a partial answer, until there are `count` leases."""
        leases: list[Lease] = []
        with anyio.fail_after(PATIENCE):
            while len(leases) < count:
                try:
                    leases += await self.claim(broker, queues=self.all_of(stores))
                except PartlyUnavailable as error:
                    leases += error.answer.leases
                await self.pass_time(self.tick / 4)
        return leases
