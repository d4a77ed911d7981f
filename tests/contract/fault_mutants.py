"""Brokers that have a defect in what they do when their store fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
from msgspec import structs

from aioq.backends import MemoryBroker
from aioq.errors import BrokerFull, BrokerUnavailable
from aioq.model.ids import new_id
from aioq.model.job import CancelledRun, Claim, ClaimRequest, Lease, NewJob, Settled, Settlement
from aioq.model.states import JobState
from aioq.protocols import Broker
from aioq.testing import FaultyBroker

__all__ = [
    "ClaimsAgain",
    "HangsForEver",
    "LosesJobsWhenFull",
    "RaisesOtherError",
    "ReleasesTwice",
    "MissesCancellations",
    "SleepsThroughOutage",
    "StoresThoughFull",
    "StoresTwice",
    "TakesSlowForAway",
]

T = TypeVar("T")


class HangsForEver(FaultyBroker):
    """Waits for a store that does not answer."""

    async def _call(self, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        if self._silent:
            await anyio.sleep_forever()
        return await super()._call(method, *args, **kwargs)


class RaisesOtherError(FaultyBroker):
    """Lets the error of its driver through."""

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend leases."""
        try:
            return await super().extend(leases, seconds=seconds)
        except BrokerUnavailable:
            raise ConnectionResetError from None


class TakesSlowForAway(FaultyBroker):
    """Gives up before its timeout."""

    async def _call(self, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        if self._delay:
            raise BrokerUnavailable("too slow")
        return await super()._call(method, *args, **kwargs)


class StoresThoughFull(FaultyBroker):
    """Stores the job and says that it has no room for it."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs."""
        if self._full:
            await self._broker.enqueue(jobs)
        return await super().enqueue(jobs)


class LosesJobsWhenFull(FaultyBroker):
    """Evicts jobs to have room."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs."""
        try:
            return await super().enqueue(jobs)
        except BrokerFull:
            assert isinstance(self._broker, MemoryBroker)
            for record in await self._broker.list_jobs("q", JobState.PENDING):
                await self._broker.cancel_job(record.id, queue="q")
            raise


class StoresTwice(FaultyBroker):
    """Stores a repeated job under an id of its own."""

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs."""
        assert isinstance(self._broker, MemoryBroker)
        known = [await self._broker.get_job(job.id, queue=job.queue) for job in jobs]
        again = [structs.replace(job, id=f"{job.id}-again") for job in jobs]
        return await super().enqueue([new if old else job for job, new, old in zip(jobs, again, known, strict=True)])


class ClaimsAgain(FaultyBroker):
    """Takes a repeated request for a new one."""

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim."""
        return await super().claim(structs.replace(request, request_id=new_id()))


class ReleasesTwice(FaultyBroker):
    """Gives an attempt back for each repetition of a release."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settle."""
        answers = await super().settle(settlements)
        for settlement, answer in zip(settlements, answers, strict=True):
            if answer is Settled.ALREADY and isinstance(self._broker, MemoryBroker):
                stored = self._broker._table.find("q", settlement.lease.job_id)
                assert stored is not None
                stored.attempt -= 1
        return answers


class SleepsThroughOutage(FaultyBroker):
    """Wakes no waiter whose signal came while it could not listen."""

    def __init__(self, broker: Broker, *, timeout: float = 5.0) -> None:
        super().__init__(broker, timeout=timeout)
        self.outages = 0
        assert isinstance(broker, MemoryBroker)
        self.wait_and_claim = partial(self._deaf, broker.wait_and_claim)
        self.wait_for_result = partial(self._deaf, broker.wait_for_result)

    def go_down(self) -> None:
        """Go down."""
        self.outages += 1
        super().go_down()

    async def _deaf(self, wait: Callable[..., Awaitable[T]], *args: Any, timeout: float, **kwargs: Any) -> T:
        outages = self.outages
        answer = await wait(*args, timeout=timeout, **kwargs)
        if self.outages > outages:
            await anyio.sleep(timeout)
        return answer


class MissesCancellations(FaultyBroker):
    """Tells a worker of no cancellation after an outage, although the iterator goes on."""

    def __init__(self, broker: Broker, *, timeout: float = 5.0) -> None:
        super().__init__(broker, timeout=timeout)
        self.was_down = False
        assert isinstance(broker, MemoryBroker)
        self.heard = broker.aborts
        self.aborts = self._before_outage

    def go_down(self) -> None:
        """Go down."""
        self.was_down = True
        super().go_down()

    async def _before_outage(self, worker_id: str) -> AsyncIterator[CancelledRun]:
        async for run in self.heard(worker_id):
            if not self.was_down:
                yield run
