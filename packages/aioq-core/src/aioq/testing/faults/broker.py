"""A broker that causes faults, for apps, and for brokers whose store is no server."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio

from aioq.conformance import OPTIONAL, members
from aioq.errors import BrokerFull, BrokerUnavailable
from aioq.model.job import Claim, ClaimRequest, Lease, NewJob, Reaped, Settled, Settlement
from aioq.protocols import Broker

__all__ = ["FaultyBroker"]

T = TypeVar("T")


class FaultyBroker:
    """Passes calls on to another broker, with the optional protocols of that broker, and causes faults.

    The answer of a call counts as one reply. The test of an app takes one in place of its broker, to see what the app
    does in an outage.

    Args:
        broker: The broker that does the work.
        timeout: Seconds after which a call raises `BrokerUnavailable` if there is no answer.

    Attributes:
        lost: The number of answers that were lost so far.
    """

    def __init__(self, broker: Broker, *, timeout: float = 5.0) -> None:
        self.protocol_version = broker.protocol_version
        self.in_process: bool = getattr(broker, "in_process", False)
        self.finds_poison_jobs: bool = getattr(broker, "finds_poison_jobs", False)
        self.stores_attempts: bool = getattr(broker, "stores_attempts", False)
        self._broker = broker
        self._timeout = timeout
        self._skip: int | None = None
        self._delay = 0.0
        self._down = False
        self._silent = False
        self._full = False
        self.lost = 0
        for protocol in OPTIONAL:
            for name in members(protocol):
                if (method := getattr(broker, name, None)) is not None:
                    awaited = inspect.iscoroutinefunction(getattr(protocol, name))
                    setattr(self, name, partial(self._call, method) if awaited else method)

    def __repr__(self) -> str:
        return f"FaultyBroker({self._broker!r})"

    def lose_reply(self, skip: int = 0) -> None:
        """Do a call and raise `BrokerUnavailable` in place of its answer, after `skip` further calls."""
        self._skip = skip

    def go_down(self) -> None:
        """Raise `BrokerUnavailable` at once from all calls until `recover`, and do none of them."""
        self._down = True

    def go_silent(self) -> None:
        """Do no call, and raise `BrokerUnavailable` after the timeout, until `recover`."""
        self._silent = True

    def slow_down(self, seconds: float) -> None:
        """Return each answer `seconds` later until `recover`."""
        self._delay = seconds

    def fill(self) -> None:
        """Raise `BrokerFull` from `enqueue` until `recover`."""
        self._full = True

    def recover(self) -> None:
        """End all faults."""
        self._skip = None
        self._delay = 0.0
        self._down = False
        self._silent = False
        self._full = False

    async def connect(self) -> None:
        """Connect; see `aioq.protocols.Broker.connect`."""
        await self._call(self._broker.connect)

    async def close(self) -> None:
        """Close, also during a fault; see `aioq.protocols.Broker.close`."""
        await self._broker.close()

    async def time(self) -> float:
        """Return the broker's clock; see `aioq.protocols.Broker.time`."""
        return await self._call(self._broker.time)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs; see `aioq.protocols.Broker.enqueue`."""
        if self._full:
            raise BrokerFull(f"{self!r} has no room")
        return await self._call(self._broker.enqueue, jobs)

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease jobs; see `aioq.protocols.Broker.claim`."""
        return await self._call(self._broker.claim, request)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend leases; see `aioq.protocols.Broker.extend`."""
        return await self._call(self._broker.extend, leases, seconds=seconds)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write outcomes; see `aioq.protocols.Broker.settle`."""
        return await self._call(self._broker.settle, settlements)

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Take leases back; see `aioq.protocols.Broker.reap`."""
        return await self._call(self._broker.reap, queues, lease=lease, limit=limit)

    async def _call(self, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        if self._down:
            raise BrokerUnavailable(f"{self!r} is down")
        if self._silent or self._delay > self._timeout:
            await anyio.sleep(self._timeout)
            raise BrokerUnavailable(f"{self!r} did not answer within {self._timeout:g} s")
        answer = await method(*args, **kwargs)
        await anyio.sleep(self._delay)
        if self._skip is not None:
            self._skip -= 1
            if self._skip < 0:
                self._skip = None
                self.lost += 1
                raise BrokerUnavailable(f"an answer of {self!r} was lost")
        return answer
