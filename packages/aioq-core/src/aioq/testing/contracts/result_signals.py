"""Tests `Signals.wait_for_result` and `Signals.aborts`."""

from __future__ import annotations

import anyio
import pytest

from aioq.conformance import lacking
from aioq.model.job import CancelledRun, Completed, Dead, Expired, Failed, Released, Retried, Settlement
from aioq.protocols import Broker, JobStore, Signals
from aioq.testing.contracts.suite import FAILURE, LONG, BrokerSuite

__all__ = ["ResultSignalsContract"]


class ResultSignalsContract(BrokerSuite):
    """The end of a job wakes waiting clients, and a cancellation wakes the worker, in every process."""

    @pytest.fixture
    def signals(self, broker: Broker) -> Signals:
        """The broker, as a giver of signals."""
        assert isinstance(broker, Signals), f"it lacks {lacking(broker, Signals)}"
        return broker

    async def test_wait_for_result_wakes_on_completion(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """Completion ends the wait in every process, with or without a stored record."""
        await broker.enqueue([self.job("a"), self.job("b")])
        a, b = await self.claim(broker)
        for lease, seconds in ((a, 60.0), (b, 0.0)):
            ended = Completed(lease=lease, result=b"1", retain_for=seconds)
            assert await self.wakes(
                lambda lease=lease: signals.wait_for_result(lease.job_id, queue="q", timeout=LONG),  # type: ignore[misc]
                lambda ended=ended: peer.settle([ended]),  # type: ignore[misc]
            )

    async def test_wait_for_result_wakes_on_failure_not_on_retry(self, broker: Broker, signals: Signals) -> None:
        """Only the end of a job ends the wait for its result."""
        await broker.enqueue([self.job("a")])
        first = await self.claim_one(broker)

        async def fail_at_last() -> None:
            await broker.settle([Retried(lease=first, delay=0, failure=FAILURE)])
            await self.settle_down()
            await broker.settle([Failed(lease=await self.claim_one(broker), failure=FAILURE, retain_for=60)])

        assert await self.wakes(lambda: signals.wait_for_result("a", queue="q", timeout=LONG), fail_at_last)

    async def test_wait_for_result_wakes_each_wait_of_a_batch(
        self, broker: Broker, peer: Broker, signals: Signals
    ) -> None:
        """If several jobs end in one call, the wait for each of them ends."""
        await broker.enqueue([self.job(id) for id in "abc"])
        leases = await self.claim(broker)
        ended: list[str] = []

        async def wait(id: str) -> None:
            assert await signals.wait_for_result(id, queue="q", timeout=LONG)
            ended.append(id)

        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                for id in "abc":
                    tg.start_soon(wait, id)
                await self.settle_down()
                assert ended == []
                await peer.settle([Completed(lease=lease) for lease in leases])
        assert sorted(ended) == ["a", "b", "c"]

    async def test_wait_for_result_wakes_on_every_end(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """A job that is dead, expired or crashed too often ends the wait, too."""
        await broker.enqueue([self.job("a"), self.job("b")])
        await broker.enqueue([self.job("c", max_crashes=1)])
        a, b = await self.claim(broker, 2)
        await self.claim(broker, 1, lease=self.tick)  # a worker with one slot: the job runs alone
        ends: list[Settlement] = [Dead(lease=a, reason="malformed"), Expired(lease=b, failure=FAILURE)]
        for end in ends:
            assert await self.wakes(
                lambda end=end: signals.wait_for_result(end.lease.job_id, queue="q", timeout=LONG),  # type: ignore[misc]
                lambda end=end: peer.settle([end]),  # type: ignore[misc]
            )
        await self.pass_time(self.tick * 1.5)
        assert await self.wakes(lambda: signals.wait_for_result("c", queue="q", timeout=LONG), lambda: peer.reap(["q"]))

    async def test_wait_for_result_wakes_on_cancellation(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """Cancelling a job ends the wait for its result."""
        if not isinstance(peer, JobStore):
            pytest.skip("a broker that is not a JobStore cancels nothing")
        await broker.enqueue([self.job("a"), self.job("b", delay=600)])
        await self.claim(broker)
        for id in "ab":
            assert await self.wakes(
                lambda id=id: signals.wait_for_result(id, queue="q", timeout=LONG),  # type: ignore[misc]
                lambda id=id: peer.cancel_job(id, queue="q"),  # type: ignore[misc]
            )

    async def pass_time_soon(self) -> None:
        """Let time pass beside a wait."""
        await self.settle_down()
        await self.pass_time(self.tick * 2)

    async def test_wait_for_result_ended_job_returns_at_once(self, broker: Broker, signals: Signals) -> None:
        """The wait returns True at once for an ended job, and False after the timeout for others."""
        await broker.enqueue([self.job("a"), self.job("b")])
        a, _ = await self.claim(broker)
        await broker.settle([Completed(lease=a, result=b"1", retain_for=60)])
        with anyio.fail_after(LONG / 2):
            assert await signals.wait_for_result("a", queue="q", timeout=LONG) is True
            async with anyio.create_task_group() as tg:
                tg.start_soon(self.pass_time_soon)
                assert await signals.wait_for_result("b", queue="q", timeout=self.tick) is False
                tg.cancel_scope.cancel()

    async def test_wait_for_result_same_id_in_other_queue(self, broker: Broker, signals: Signals) -> None:
        """A wait ends with the job of its own queue, not with one that has the same id in another queue."""
        await broker.enqueue([self.job("a", queue="p"), self.job("a")])
        of_p, of_q = await self.claim(broker, queues=("p", "q"))

        async def end_one_after_the_other() -> None:
            await broker.settle([Completed(lease=of_p, result=b"1", retain_for=60)])
            await self.settle_down()
            await broker.settle([Completed(lease=of_q, result=b"2", retain_for=60)])

        ended: list[str] = []

        async def wait() -> bool:
            answer = await signals.wait_for_result("a", queue="q", timeout=LONG)
            ended.extend(lease.queue for lease in await broker.extend([of_p, of_q], seconds=60))
            return answer

        assert await self.wakes(wait, end_one_after_the_other)
        assert ended == ["p", "q"]

    async def test_aborts_yield_cancelled_jobs_of_worker(self, broker: Broker, peer: Broker, signals: Signals) -> None:
        """Each cancellation of a running job reaches the worker that runs it, and no other, and names the run."""
        if not isinstance(peer, JobStore):
            pytest.skip("a broker that is not a JobStore cancels nothing")
        await broker.enqueue([self.job(id) for id in "abc"])
        # Their epochs differ from those of a first run.
        for lease in reversed(await self.claim(broker, worker="w3")):
            await broker.settle([Released(lease=lease)])
        await broker.enqueue([self.job("c", queue="p")])
        await self.claim(broker, 1, worker="w1")
        leases = await self.claim(broker, 3, worker="w2", queues=("q", "p"))
        heard: list[CancelledRun] = []
        news = anyio.Event()

        async def listen() -> None:
            nonlocal news
            async for run in signals.aborts("w2"):
                heard.append(run)
                news.set()
                news = anyio.Event()

        with anyio.fail_after(LONG / 2):
            async with anyio.create_task_group() as tg:
                tg.start_soon(listen)
                await self.settle_down()
                for id, queue in (("a", "q"), ("b", "q"), ("c", "q"), ("c", "p")):
                    heard_one = news
                    await peer.cancel_job(id, queue=queue)
                    # Job a runs on the other worker, whose cancellations are not listened to.
                    if id != "a":
                        await heard_one.wait()
                tg.cancel_scope.cancel()
        assert heard == [
            CancelledRun(job_id=lease.job_id, queue=lease.queue, epoch=lease.epoch, enqueued_at=lease.enqueued_at)
            for lease in leases
        ]
