"""Tests `aioq.protocols.Signals`."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from msgspec import structs

from aioq.conformance import supports
from aioq.model.job import Claim, Completed, Failed, Released, Retried
from aioq.protocols import Broker, JobStore, Signals
from aioq.testing.contracts.result_signals import ResultSignalsContract
from aioq.testing.contracts.suite import FAILURE, LONG

__all__ = ["SignalsContract"]


class SignalsContract(ResultSignalsContract):
    """The suite for `aioq.protocols.Signals`; subclass it beside `BrokerContract`.

    `settle_down` lets a waiter that was just started reach its wait; a broker whose waiters
    need more than 0.2 s for that overrides it. A broker that listens on a connection overrides `cut_connections`.
    """

    async def cut_connections(self, broker: Broker) -> None:
        """End the connections on which `broker` listens for signals, as a network does. By default it has none."""

    async def claims(self, signals: Signals, *queues: str) -> list[str]:
        """Wait and claim until a claim brings something, and return the ids of the jobs."""
        while True:
            request = self.request(queues=queues or ("q",))
            if leases := (await signals.wait_and_claim(request, timeout=LONG)).leases:
                return [lease.job_id for lease in leases]

    async def waited(self, signals: Signals, *, worker: str = "w1", running: int = 0) -> tuple[bool, Claim]:
        """Wait and claim, for a tick at most; return whether the time passed, and the claim."""
        time_passed, claim = False, Claim(leases=[])

        async def pass_time_soon() -> None:
            nonlocal time_passed
            await self.settle_down()
            time_passed = True
            await self.pass_time(self.tick * 2)

        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(pass_time_soon)
                request = self.request(worker=worker, running=running)
                claim = await signals.wait_and_claim(request, timeout=self.tick)
                tg.cancel_scope.cancel()
        return time_passed, claim

    async def test_wait_and_claim_timeout_returns_empty_claim(self, broker: Broker, signals: Signals) -> None:
        """Without work the wait ends in time with an empty claim that has the next due time."""
        await broker.enqueue([self.job("far", delay=900)])
        await self.claim(broker)
        _, claim = await self.waited(signals)
        assert claim.leases == []
        assert claim.next_due == pytest.approx(900, abs=LONG)

    async def test_wait_and_claim_pending_job_at_once(self, broker: Broker, signals: Signals) -> None:
        """A pending job is claimed at once."""
        await broker.enqueue([self.job("a")])
        with anyio.fail_after(LONG / 2):
            assert await self.claims(signals, "other", "q") == ["a"]

    async def test_wait_and_claim_lets_other_tasks_run(self, broker: Broker, signals: Signals) -> None:
        """Other tasks run during a wait, also if it claims at once."""
        await broker.enqueue([self.job("a"), self.job("b", queue="other")])
        others_ran = False

        async def other() -> None:
            nonlocal others_ran
            others_ran = True

        async with anyio.create_task_group() as tg:
            tg.start_soon(other)
            # Two waits: trio resumes the tasks of one moment in any order.
            for queue in ("q", "other"):
                await self.claims(signals, queue)
            assert others_ran

    async def test_wait_and_claim_follows_rules_of_claim(self, broker: Broker, signals: Signals) -> None:
        """The wait respects the limit, gives a lease, and its request can be repeated."""
        await self.claim(broker)
        request = self.request(2)
        claim = await self.wakes(
            lambda: signals.wait_and_claim(request, timeout=LONG),
            lambda: broker.enqueue([self.job(id) for id in "abc"]),
        )
        assert [(lease.job_id, lease.attempt) for lease in claim.leases] == [("a", 1), ("b", 1)]
        assert (await broker.claim(request)).leases == claim.leases
        assert await broker.extend(claim.leases, seconds=60) == []

    async def test_wait_and_claim_cancelled_takes_nothing_later(self, broker: Broker, signals: Signals) -> None:
        """After a repetition with limit 0, a cancelled wait takes no job."""
        await self.claim(broker)
        request = self.request()
        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(lambda: signals.wait_and_claim(request, timeout=LONG))
                await self.settle_down()
                tg.cancel_scope.cancel()
            assert (await broker.claim(structs.replace(request, limit=0))).leases == []
            await broker.enqueue([self.job("a")])
            await self.settle_down()
        assert (await broker.claim(request)).leases == []
        assert len(await self.claim(broker, worker="w2")) == 1

    async def test_wait_and_claim_cancelled_as_job_arrives(self, broker: Broker, signals: Signals) -> None:
        """If a wait is cancelled as a job arrives, the job is leased to its request or still pending."""
        for n in range(10):
            await self.claim(broker)
            request = self.request()
            with anyio.fail_after(LONG / 2):
                async with anyio.create_task_group() as tg:
                    tg.start_soon(lambda request=request: signals.wait_and_claim(request, timeout=LONG))  # type: ignore[misc]
                    await self.settle_down()
                    await broker.enqueue([self.job(str(n))])
                    # Other rounds each time, so that the cancellation meets the claim at each stage of its way.
                    for _ in range(n):
                        await anyio.lowlevel.checkpoint()
                    tg.cancel_scope.cancel()
                taken = (await broker.claim(structs.replace(request, limit=0))).leases
            taken = taken or await self.claim(broker, worker="w2")
            assert [(lease.job_id, lease.attempt) for lease in taken] == [(str(n), 1)]

    async def test_wait_and_claim_wakes_busy_worker(self, broker: Broker, signals: Signals) -> None:
        """A busy worker is woken like an idle one, whether or not it becomes idle during the wait."""
        for becomes_idle in (False, True):
            await self.claim(broker)
            idle, request = anyio.Event(), self.request(running=1)

            claim = await self.wakes(
                lambda request=request, idle=idle: signals.wait_and_claim(request, timeout=LONG, idle=idle),  # type: ignore[misc]
                lambda idle=idle if becomes_idle else None: self.come_to_work(broker, idle),  # type: ignore[misc]
            )
            assert [lease.job_id for lease in claim.leases] == ["idle" if becomes_idle else "busy"]

    async def come_to_work(self, broker: Broker, idle: anyio.Event | None) -> None:
        """Let a worker become idle, if so wanted, and enqueue a job."""
        if idle is not None:
            idle.set()
            await self.settle_down()
        await broker.enqueue([self.job("idle" if idle else "busy")])

    async def test_wait_and_claim_suspect_wakes_idle_worker(self, broker: Broker, signals: Signals) -> None:
        """A suspect counts as work for an idle worker."""
        await self.crash(broker, "a", 1)
        await self.claim(broker, lease=self.tick)
        # The reaping of the first crash may leave signals behind, and each ends a wait early.
        for _ in range(10):
            if (await self.waited(signals))[0]:
                break
        else:
            pytest.fail("there is nothing to claim, and ten waits for a job ended before their time")
        await self.pass_time(self.tick * 1.5)
        assert await self.wakes(lambda: self.claims(signals), lambda: broker.reap(["q"])) == ["a"]

    async def test_wait_and_claim_suspect_does_not_wake_busy_workers(self, broker: Broker, signals: Signals) -> None:
        """Busy workers that skip a suspect are not woken again and again."""
        await self.crash(broker, "a", 2)
        slept: list[bool] = []
        for worker in ("w1", "w2") * 3:
            time_passed, claim = await self.waited(signals, worker=worker, running=1)
            assert claim.leases == []
            slept.append(time_passed)
        # A few early ends are allowed. Workers that wake each other would never sleep.
        assert slept.count(False) <= 4, slept

    async def test_wait_and_claim_wakes_on_enqueue(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """A new job ends the wait on each of its queues, from every process."""
        for id, process in (("a", broker), ("b", peer)):
            await self.claim(broker)
            assert await self.wakes(
                lambda: self.claims(signals, "other", "q"),
                lambda id=id, process=process: process.enqueue([self.job(id)]),  # type: ignore[misc]
            ) == [id]

    async def test_wait_and_claim_wakes_on_release(self, broker: Broker, signals: Signals) -> None:
        """A released job ends the wait."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        assert await self.wakes(lambda: self.claims(signals), lambda: broker.settle([Released(lease=lease)])) == ["a"]

    async def test_wait_and_claim_wakes_on_reap(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """A job that another worker reaped ends the wait."""
        await self.expire(broker)
        await self.claim(broker, worker="w2")
        assert await self.wakes(lambda: self.claims(signals), lambda: peer.reap(["q"])) == ["a"]

    async def test_wait_and_claim_wakes_on_replay(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """A job that was put back into its queue ends the wait."""
        store = peer
        if not supports(store, JobStore):
            pytest.skip("a broker that is not a JobStore replays nothing")
        await broker.enqueue([self.job("a")])
        await broker.settle([Failed(lease=await self.claim_one(broker), failure=FAILURE, retain_for=60)])
        await self.claim(broker)
        assert await self.wakes(lambda: self.claims(signals), lambda: store.retry_job("a", queue="q")) == ["a"]

    async def test_wait_and_claim_wakes_on_retry_brought_forward(
        self, broker: Broker, peer: Broker, signals: Signals
    ) -> None:
        """A job that need not wait for its retry any more ends the wait."""
        store = peer
        if not supports(store, JobStore):
            pytest.skip("a broker that is not a JobStore brings no job forward")
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=600, failure=FAILURE)])
        await self.claim(broker)
        assert await self.wakes(lambda: self.claims(signals), lambda: store.retry_job("a", queue="q")) == ["a"]

    async def test_waits_hear_what_was_signalled_without_a_connection(
        self, broker: Broker, peer: Broker, signals: Signals
    ) -> None:
        """A job that is enqueued, or ends, while no connection listens ends the waits once one is there again."""
        await self.claim(broker)

        async def enqueue() -> None:
            await self.cut_connections(broker)
            await peer.enqueue([self.job("a")])

        async def complete() -> None:
            await self.cut_connections(broker)
            await peer.settle([Completed(lease=lease) for lease in leases])

        assert await self.wakes(lambda: self.claims(signals), enqueue) == ["a"]
        await peer.enqueue([self.job("b")])
        leases = await self.claim(peer)
        assert await self.wakes(lambda: signals.wait_for_result("b", queue="q", timeout=LONG), complete) is True

    async def test_wait_and_claim_wakes_when_job_comes_due(self, broker: Broker, signals: Signals) -> None:
        """A delayed job or a retry that comes due ends the wait."""
        await broker.enqueue([self.job("retried")])
        lease = await self.claim_one(broker)
        await broker.enqueue([self.job("delayed", delay=self.tick * 4)])
        for id in ("delayed", "retried"):
            await self.claim(broker)
            assert await self.wakes(lambda: self.claims(signals), lambda: self.pass_time(self.tick * 5)) == [id]
            await broker.settle([Retried(lease=lease, delay=self.tick * 4)])

    async def test_wait_and_claim_wakes_for_earlier_job(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """A wait until the next due time ends earlier if an earlier job arrives."""
        await broker.enqueue([self.job("far", delay=900)])
        await self.claim(broker)

        async def nearer() -> None:
            await peer.enqueue([self.job("near", delay=self.tick)])
            await self.pass_time(self.tick * 2)

        assert await self.wakes(lambda: self.claims(signals), nearer) == ["near"]
