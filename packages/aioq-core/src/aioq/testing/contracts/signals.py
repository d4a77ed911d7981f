"""What a broker that wakes its waiters must do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.lowlevel
import pytest
from msgspec import structs

from aioq.job import Claim, Completed, Failed, Released, Retried
from aioq.protocols import Broker, JobStore, Signals
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["SignalsContract"]

T = TypeVar("T")

LONG = 30.0
"""Seconds that no wait of these tests may take."""


class SignalsContract(BrokerSuite):
    """The suite for `aioq.protocols.Signals`; subclass it beside `BrokerContract`.

    `settle_down` lets a waiter that was just started reach its wait; a broker whose waiters
    need more than 0.2 s for that overrides it.
    """

    @pytest.fixture
    def signals(self, broker: Broker) -> Signals:
        """The broker, as a giver of signals."""
        assert isinstance(broker, Signals)
        return broker

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
                assert answers == []
                await then()
        return answers[0]

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

    async def test_a_wait_ends_with_the_timeout(self, broker: Broker, signals: Signals) -> None:
        """Nothing to do is answered with an empty claim, in time, which says what is due next."""
        await broker.enqueue([self.job("far", delay=900)])
        await self.claim(broker)
        _, claim = await self.waited(signals)
        assert claim.leases == []
        assert claim.next_due == pytest.approx(900, abs=LONG)

    async def test_work_that_is_there_needs_no_waiting(self, broker: Broker, signals: Signals) -> None:
        """A pending job is claimed at once."""
        await broker.enqueue([self.job("a")])
        with anyio.fail_after(LONG / 2):
            assert await self.claims(signals, "other", "q") == ["a"]

    async def test_a_wait_claims_as_a_claim_does(self, broker: Broker, signals: Signals) -> None:
        """No more than the limit, under a lease, and by the request: repeating it returns what it took."""
        await self.claim(broker)
        request = self.request(2)
        claim = await self.wakes(
            lambda: signals.wait_and_claim(request, timeout=LONG),
            lambda: broker.enqueue([self.job(id) for id in "abc"]),
        )
        assert [(lease.job_id, lease.attempt) for lease in claim.leases] == [("a", 1), ("b", 1)]
        assert (await broker.claim(request)).leases == claim.leases
        assert await broker.extend(claim.leases, seconds=60) == []

    async def test_a_wait_that_is_called_off_takes_nothing_later(self, broker: Broker, signals: Signals) -> None:
        """Once it was asked what a request has taken, jobs that come are others'."""
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

    async def test_who_is_called_off_as_a_job_comes_can_ask_for_it(self, broker: Broker, signals: Signals) -> None:
        """The job is leased to the request or is still in line, and never anything else."""
        for n in range(10):
            await self.claim(broker)
            request = self.request()
            with anyio.fail_after(LONG / 2):
                async with anyio.create_task_group() as tg:
                    tg.start_soon(lambda request=request: signals.wait_and_claim(request, timeout=LONG))  # type: ignore[misc]
                    await self.settle_down()
                    await broker.enqueue([self.job(str(n))])
                    for _ in range(n):
                        await anyio.lowlevel.checkpoint()
                    tg.cancel_scope.cancel()
                taken = (await broker.claim(structs.replace(request, limit=0))).leases
            taken = taken or await self.claim(broker, worker="w2")
            assert [(lease.job_id, lease.attempt) for lease in taken] == [(str(n), 1)]

    async def test_a_busy_worker_is_woken_like_an_idle_one(self, broker: Broker, signals: Signals) -> None:
        """Whether it becomes idle during the wait, or does not."""
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

    async def test_a_suspect_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A job whose crashes make it a suspect is work for whoever is idle."""
        await self.crash(broker, "a", 1)
        await self.claim(broker, lease=self.tick)
        while not (await self.waited(signals))[0]:
            pass
        await self.pass_time(self.tick * 1.5)
        assert await self.wakes(lambda: self.claims(signals), lambda: broker.reap(["q"])) == ["a"]

    async def test_a_suspect_keeps_no_busy_worker_awake(self, broker: Broker, signals: Signals) -> None:
        """Workers that pass over it are not woken again and again."""
        await self.crash(broker, "a", 2)
        slept: list[bool] = []
        for worker in ("w1", "w2") * 3:
            time_passed, claim = await self.waited(signals, worker=worker, running=1)
            assert claim.leases == []
            slept.append(time_passed)
        assert slept.count(False) <= 4, slept

    async def test_an_enqueue_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A new job ends the wait, on whichever of the queues it arrives."""
        assert await self.wakes(
            lambda: self.claims(signals, "other", "q"), lambda: broker.enqueue([self.job("a")])
        ) == ["a"]

    async def test_a_release_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A job that is given back is work like any other."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        assert await self.wakes(lambda: self.claims(signals), lambda: broker.settle([Released(lease=lease)])) == ["a"]

    async def test_a_nearer_due_time_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A worker that sleeps until the earliest job is woken by an earlier one."""
        await broker.enqueue([self.job("far", delay=900)])
        await self.claim(broker)

        async def nearer() -> None:
            await broker.enqueue([self.job("near", delay=self.tick)])
            await self.pass_time(self.tick * 2)

        assert await self.wakes(lambda: self.claims(signals), nearer) == ["near"]

    async def test_a_result_wakes_its_waiter(self, broker: Broker, signals: Signals) -> None:
        """Completion ends the wait for a result, with or without a record kept."""
        await broker.enqueue([self.job("a"), self.job("b")])
        a, b = await self.claim(broker)
        for lease, keep in ((a, 60.0), (b, 0.0)):
            assert await self.wakes(
                lambda lease=lease: signals.wait_for_result(lease.job_id, queue="q", timeout=LONG),  # type: ignore[misc]
                lambda lease=lease, keep=keep: broker.settle([Completed(lease=lease, result=b"1", keep=keep)]),  # type: ignore[misc]
            )

    async def test_a_failure_wakes_its_waiter_and_a_retry_does_not(self, broker: Broker, signals: Signals) -> None:
        """Only the end of a job ends the wait for its result."""
        await broker.enqueue([self.job("a")])
        first = await self.claim_one(broker)

        async def fail_at_last() -> None:
            await broker.settle([Retried(lease=first, delay=0, failure=FAILURE)])
            await self.settle_down()
            await broker.settle([Failed(lease=await self.claim_one(broker), failure=FAILURE, keep=60)])

        assert await self.wakes(lambda: signals.wait_for_result("a", queue="q", timeout=LONG), fail_at_last)

    async def pass_time_soon(self) -> None:
        """Let time pass beside a wait."""
        await self.settle_down()
        await self.pass_time(self.tick * 2)

    async def test_a_job_that_has_ended_needs_no_waiting(self, broker: Broker, signals: Signals) -> None:
        """Waiting for what has ended returns True at once; for what goes on, False in time."""
        await broker.enqueue([self.job("a"), self.job("b")])
        a, _ = await self.claim(broker)
        await broker.settle([Completed(lease=a, result=b"1", keep=60)])
        with anyio.fail_after(LONG / 2):
            assert await signals.wait_for_result("a", queue="q", timeout=LONG) is True
            async with anyio.create_task_group() as tg:
                tg.start_soon(self.pass_time_soon)
                assert await signals.wait_for_result("b", queue="q", timeout=self.tick) is False
                tg.cancel_scope.cancel()

    async def test_a_worker_hears_of_its_cancelled_jobs(self, broker: Broker, signals: Signals) -> None:
        """Cancelling a running job tells the worker that runs it, and no other."""
        assert isinstance(broker, JobStore)
        await broker.enqueue([self.job("a"), self.job("b")])
        await self.claim(broker, 1, worker="w1")
        await self.claim(broker, 1, worker="w2")
        heard: list[str] = []

        async def listen(scope: anyio.CancelScope) -> None:
            async for job_id in signals.aborts("w2"):
                heard.append(job_id)
                scope.cancel()

        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(listen, tg.cancel_scope)
                await self.settle_down()
                await broker.cancel_job("a")
                await broker.cancel_job("b")
        assert heard == ["b"]
