"""What a broker that wakes its waiters must do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.abc import TaskGroup

from aioq.job import Completed, Failed, Released, Retried
from aioq.protocols import Broker, JobStore, Signals
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["SignalsContract"]

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

    async def wakes(self, waits: Callable[[], Awaitable[bool]], then: Callable[[], Awaitable[object]]) -> None:
        """Start a wait, do something, and insist that it ends the wait."""
        answers: list[bool] = []

        async def wait() -> None:
            answers.append(await waits())

        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(wait)
                await self.settle_down()
                assert answers == []
                await then()
        assert answers == [True]

    async def test_waiting_for_work_ends_with_the_timeout(self, signals: Signals) -> None:
        """Nothing to do is answered with False, in time."""
        assert await self.finds_work(signals) is False

    async def finds_work(self, signals: Signals) -> bool:
        """Wait for work, for a tick."""
        found = False
        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(self.pass_time_soon, tg)
                found = await signals.wait_for_work(["q"], timeout=self.tick)
                tg.cancel_scope.cancel()
        return found

    async def pass_time_soon(self, tg: TaskGroup) -> None:
        """Let time pass beside a wait."""
        await self.settle_down()
        await self.pass_time(self.tick * 2)

    async def test_work_that_is_there_needs_no_waiting(self, broker: Broker, signals: Signals) -> None:
        """A pending job answers the wait at once."""
        await broker.enqueue([self.job("a")])
        with anyio.fail_after(LONG / 2):
            assert await signals.wait_for_work(["other", "q"], timeout=LONG) is True

    async def test_a_suspect_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A job whose crashes make it a suspect is work for whoever is idle."""
        await self.crash(broker, "a", 1)
        await self.claim(broker, lease=self.tick)
        while await self.finds_work(signals):
            pass
        await self.pass_time(self.tick * 1.5)
        await self.wakes(lambda: signals.wait_for_work(["q"], timeout=LONG), lambda: broker.reap(["q"]))

    async def test_a_suspect_keeps_no_busy_worker_awake(self, broker: Broker, signals: Signals) -> None:
        """Workers that pass over it do not find work again and again."""
        await self.crash(broker, "a", 2)
        answers: list[bool] = []
        for worker in ("w1", "w2") * 2:
            assert (await broker.claim(self.request(worker=worker, running=1))).leases == []
            answers.append(await self.finds_work(signals))
        assert answers.count(True) <= 2, answers

    async def test_an_enqueue_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A new job ends the wait, on whichever of the queues it arrives."""
        await self.wakes(
            lambda: signals.wait_for_work(["other", "q"], timeout=LONG), lambda: broker.enqueue([self.job("a")])
        )

    async def test_a_release_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A job that is given back is work like any other."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        await self.wakes(
            lambda: signals.wait_for_work(["q"], timeout=LONG), lambda: broker.settle([Released(lease=lease)])
        )

    async def test_a_nearer_due_time_wakes_a_worker(self, broker: Broker, signals: Signals) -> None:
        """A worker that sleeps until the earliest job is woken by an earlier one."""
        await broker.enqueue([self.job("far", delay=900)])
        await self.claim(broker)

        async def nearer() -> None:
            await broker.enqueue([self.job("near", delay=self.tick)])
            await self.pass_time(self.tick * 2)

        await self.wakes(lambda: signals.wait_for_work(["q"], timeout=LONG), nearer)

    async def test_a_result_wakes_its_waiter(self, broker: Broker, signals: Signals) -> None:
        """Completion ends the wait for a result, with or without a record kept."""
        await broker.enqueue([self.job("a"), self.job("b")])
        a, b = await self.claim(broker)
        for lease, keep in ((a, 60.0), (b, 0.0)):
            await self.wakes(
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

        await self.wakes(lambda: signals.wait_for_result("a", queue="q", timeout=LONG), fail_at_last)

    async def test_a_job_that_has_ended_needs_no_waiting(self, broker: Broker, signals: Signals) -> None:
        """Waiting for what has ended returns True at once; for what goes on, False in time."""
        await broker.enqueue([self.job("a"), self.job("b")])
        a, _ = await self.claim(broker)
        await broker.settle([Completed(lease=a, result=b"1", keep=60)])
        with anyio.fail_after(LONG / 2):
            assert await signals.wait_for_result("a", queue="q", timeout=LONG) is True
            async with anyio.create_task_group() as tg:
                tg.start_soon(self.pass_time_soon, tg)
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
