"""Contains the helpers that the suites for brokers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

import anyio
import pytest

from aioq.model.job import ClaimRequest, Failure, Lease, NewJob
from aioq.protocols import Broker

__all__ = ["FAILURE", "LONG", "BrokerSuite"]

T = TypeVar("T")

FAILURE = Failure("ValueError", "nope", "Traceback: nope", "tasks:work")

LONG = 30.0
"""Timeout in seconds that no wait in the suites may reach."""

# One count for all tests: a broker may remember the request ids of an earlier one.
_requests = count(1)


class BrokerSuite:
    """Base of the suites. A subclass of a suite defines the fixtures `broker` and `peer`.

    Tests let time pass with `pass_time`, which sleeps in real time; override it if the broker has a virtual
    clock, and set `virtual_time`. Delays and leases in the suites are multiples of `tick` seconds.
    """

    pytestmark = pytest.mark.anyio

    tick = 0.2

    virtual_time = False
    """Whether `pass_time` takes no time. Tests of what is kept for hours and days then wait for as long."""

    @pytest.fixture
    def broker(self) -> Broker:
        """A connected, empty broker; each test gets a new one."""
        raise NotImplementedError(f"{type(self).__name__} must define a fixture named broker")

    @pytest.fixture
    def peer(self, broker: Broker) -> Broker:
        """Another connected broker on the store of `broker`, as in a second process.

        If the store is the object itself, it is `broker`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define a fixture named peer: a second connected broker on the store of "
            f"the fixture broker, or that broker itself if its jobs are in the object"
        )

    async def pass_time(self, seconds: float) -> None:
        """Let at least `seconds` pass on the broker's clock."""
        await anyio.sleep(seconds)

    async def pass_long(self, seconds: float) -> None:
        """Let `seconds` pass on a virtual clock; on a real one 3 s, which only reveals what is kept for less."""
        await self.pass_time(seconds if self.virtual_time else 3.0)

    async def settle_down(self) -> None:
        """Give a waiter time to start waiting."""
        await anyio.sleep(0.2)

    async def wakes(self, waits: Callable[[], Awaitable[T]], then: Callable[[], Awaitable[object]]) -> T:
        """Start a wait, do something, insist that it ends the wait, and return what the wait returned."""
        answers: list[T] = []

        async def wait() -> None:
            answers.append(await waits())

        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(wait)
                await self.settle_down()
                # A wait that is over before `then` would prove nothing.
                assert answers == []
                await then()
        return answers[0]

    @staticmethod
    def job(id: str, **changes: object) -> NewJob:
        """Return a job for queue `q`."""
        fields: dict[str, object] = {"id": id, "task": "tasks.work", "queue": "q", "payload": b"{}"}
        return NewJob(**{**fields, **changes})  # type: ignore[arg-type]  # a test's own keywords

    @staticmethod
    def request(
        limit: int = 10,
        *,
        worker: str = "w1",
        queues: tuple[str, ...] = ("q",),
        lease: float = 60.0,
        running: int = 0,
        observes: bool = True,
    ) -> ClaimRequest:
        """Return a claim request with a new id."""
        return ClaimRequest(
            worker_id=worker, queues=queues, limit=limit, lease=lease, running=running, observes=observes,
            request_id=f"request-{next(_requests)}",
        )  # fmt: skip

    async def claim(
        self,
        broker: Broker,
        limit: int = 10,
        *,
        worker: str = "w1",
        queues: tuple[str, ...] = ("q",),
        lease: float = 60.0,
    ) -> list[Lease]:
        """Claim with a new request id, and return the leases."""
        return (await broker.claim(self.request(limit, worker=worker, queues=queues, lease=lease))).leases

    async def claim_one(self, broker: Broker, *, worker: str = "w1", lease: float = 60.0) -> Lease:
        """Claim exactly one job."""
        (lease_,) = await self.claim(broker, 1, worker=worker, lease=lease)
        return lease_

    async def expire(self, broker: Broker, id: str = "a") -> Lease:
        """Enqueue a job, claim it, and let its lease run out."""
        await broker.enqueue([self.job(id)])
        lease = await self.claim_one(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        return lease

    async def crash(self, broker: Broker, id: str, times: int, *, queue: str = "q") -> None:
        """Enqueue a job, and let it crash its workers `times` times."""
        # More than a test lets it crash, so that it becomes a suspect and is not dead.
        await broker.enqueue([self.job(id, queue=queue, max_crashes=9)])
        for _ in range(times):
            assert len(await self.claim(broker, 1, queues=(queue,), lease=self.tick)) == 1
            await self.pass_time(self.tick * 1.5)
            await broker.reap([queue])
