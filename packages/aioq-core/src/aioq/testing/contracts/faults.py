"""Composes the suite for a broker whose store loses answers, is away, silent, slow or full."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest
from msgspec import structs

from aioq.conformance import supports
from aioq.errors import BrokerFull, BrokerUnavailable
from aioq.model.job import Completed, Settled
from aioq.protocols import Broker, JobStore, Signals
from aioq.testing.contracts.lost_replies import LostReplyContract
from aioq.testing.faults import Faults

__all__ = ["FaultContract"]

WAIT = 60.0
"""Seconds for which a wait would go on if nothing woke it: longer than any test."""


class FaultContract(LostReplyContract):
    """The suite for the faults of a store.

    Subclass it, and define the fixtures `faults`, `broker`, which reaches its store through the faults, and `peer`,
    which is another broker on that store and reaches it without them. `faults` is a `FaultProxy` if the store is a
    server. Set `timeout` to that of `broker`. If the store can be full, override `fill` and `make_room`.
    """

    async def fill(self) -> None:
        """Fill the store, so that it has no room for a job."""
        pytest.skip("fill is not defined: the store cannot be full")

    async def make_room(self) -> None:
        """Undo what `fill` has done."""
        raise NotImplementedError(f"{type(self).__name__} must define make_room")

    async def calls(self, broker: Broker, peer: Broker) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """Return a call of each method, by its name."""
        await peer.enqueue([self.job("held")])
        lease = await self.claim_one(peer)
        return {
            "time": broker.time,
            "enqueue": lambda: broker.enqueue([self.job("new")]),
            "claim": lambda: broker.claim(self.request()),
            "extend": lambda: broker.extend([lease], seconds=60),
            "settle": lambda: broker.settle([Completed(lease=lease)]),
            "reap": lambda: broker.reap(["q"]),
        }

    async def assert_unavailable(self, calls: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
        """Make calls at once, and check that each raises `BrokerUnavailable` within the timeout."""
        raised: dict[str, str] = {}

        async def make(name: str, call: Callable[[], Awaitable[object]]) -> None:
            try:
                with anyio.fail_after(self.timeout * 1.5 + 1):
                    await call()
            except (BrokerUnavailable, TimeoutError) as error:
                raised[name] = "no answer" if isinstance(error, TimeoutError) else "unavailable"

        async with anyio.create_task_group() as group:
            for name, call in calls.items():
                group.start_soon(make, name, call)
        assert raised == dict.fromkeys(calls, "unavailable")

    async def test_unreachable_store_raises_broker_unavailable(
        self, broker: Broker, peer: Broker, faults: Faults
    ) -> None:
        """Each call raises within the timeout, and works again after the outage, without another `connect`."""
        calls = await self.calls(broker, peer)
        faults.go_down()
        await self.assert_unavailable(calls)
        faults.recover()
        for call in calls.values():
            await self.repeated(call)

    async def test_silent_store_raises_broker_unavailable(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """A store that accepts connections and never answers stops no call for longer than the timeout."""
        calls = await self.calls(broker, peer)
        faults.go_silent()
        await self.assert_unavailable(calls)
        faults.recover()
        for call in calls.values():
            await self.repeated(call)

    async def test_connect_to_unreachable_store_raises_broker_unavailable(self, broker: Broker, faults: Faults) -> None:
        """The broker can connect later."""
        await broker.close()
        for fault in (faults.go_down, faults.go_silent):
            fault()
            await self.assert_unavailable({"connect": broker.connect})
            faults.recover()
        await self.repeated(broker.connect)
        await self.repeated(broker.time)

    async def test_slow_store_works(self, broker: Broker, faults: Faults) -> None:
        """Late replies are no outage: all calls succeed at the first try."""
        faults.slow_down(min(self.tick / 2, self.timeout / 10))
        with anyio.fail_after(self.timeout * 4):
            assert await broker.enqueue([self.job("a")]) == [True]
            lease = await self.claim_one(broker)
            assert await broker.extend([lease], seconds=60) == []
            assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]

    async def test_full_store_raises_broker_full_and_loses_nothing(self, broker: Broker, peer: Broker) -> None:
        """No new job is stored, those that are stored stay, and all works when there is room."""
        await broker.enqueue([self.job("before")])
        await self.fill()
        try:
            for _ in range(2):
                with pytest.raises(BrokerFull):
                    await broker.enqueue([self.job("new")])
        finally:
            await self.make_room()
        assert [lease.job_id for lease in await self.claim(peer)] == ["before"]
        assert await broker.enqueue([self.job("new")]) == [True]
        assert [lease.job_id for lease in await self.claim(broker, worker="w2")] == ["new"]

    async def test_wait_and_claim_through_outage_gets_job(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """A wait notices a job whose signal was sent while it could not listen, or raises; it does not sleep on."""
        signals = broker
        if not supports(signals, Signals):
            pytest.skip("a broker without Signals does not wait")
        await self.claim(peer)
        got: list[str] = []

        async def wait() -> None:
            while not got:
                request = self.request()
                try:
                    claim = await signals.wait_and_claim(request, timeout=WAIT)
                except BrokerUnavailable:
                    inquiry = structs.replace(request, limit=0)
                    claim = await self.repeated(partial(broker.claim, inquiry))
                got.extend(lease.job_id for lease in claim.leases)

        await self._through_outage(wait, lambda: peer.enqueue([self.job("a")]), faults)
        assert got == ["a"]

    async def test_wait_for_result_through_outage_ends(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """A wait for a result notices a job that ended while it could not listen, or raises."""
        signals = broker
        if not supports(signals, Signals):
            pytest.skip("a broker without Signals does not wait")
        await peer.enqueue([self.job("a")])
        lease = await self.claim_one(peer)

        async def wait() -> None:
            await self.repeated(partial(signals.wait_for_result, "a", queue="q", timeout=WAIT), patience=WAIT)

        ended = Completed(lease=lease, retain_for=60)
        await self._through_outage(wait, lambda: peer.settle([ended]), faults)

    async def test_aborts_after_outage_yield_cancelled_run(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """The iterator goes on after an outage, or raises and can be called again."""
        signals, store = broker, peer
        if not supports(signals, Signals) or not supports(store, JobStore):
            pytest.skip("a broker without Signals and JobStore tells of no cancellation")
        heard: set[str] = set()
        cancelled: list[str] = []

        async def listen() -> None:
            while True:
                with suppress(BrokerUnavailable):
                    async for run in signals.aborts("w1"):
                        heard.add(run.job_id)
                await anyio.sleep(self.tick / 4)

        with anyio.fail_after(self.timeout * 4 + 5):
            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                await self.settle_down()
                faults.go_down()
                await self.settle_down()
                faults.recover()
                # Those that are cancelled before the broker listens again may be left out.
                while not heard:
                    cancelled.append(f"job-{len(cancelled)}")
                    await peer.enqueue([self.job(cancelled[-1])])
                    await self.claim_one(peer)
                    await store.cancel_job(cancelled[-1], queue="q")
                    await self.settle_down()
                group.cancel_scope.cancel()
        assert heard <= set(cancelled)

    async def settle_down(self) -> None:
        """Give a waiter time to start waiting."""
        await anyio.sleep(0.2)

    async def _through_outage(
        self, wait: Callable[[], Coroutine[Any, Any, None]], change: Callable[[], Awaitable[object]], faults: Faults
    ) -> None:
        """Start a wait, make a change during an outage, and insist that the wait ends soon after the outage."""
        with anyio.fail_after(self.timeout * 4 + 5):
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await self.settle_down()
                faults.go_down()
                await change()
                await self.settle_down()
                faults.recover()
