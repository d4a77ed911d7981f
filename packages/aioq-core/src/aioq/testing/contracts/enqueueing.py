"""Tests `Broker.enqueue`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import product

import anyio
import anyio.lowlevel
import pytest
from msgspec import structs

from aioq.errors import JobConflict
from aioq.model.headers import MAX_HEADER_BYTES, MAX_HEADERS
from aioq.model.job import ClaimRequest, Completed, Released, Retried, Settled
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["EnqueueContract"]


class EnqueueContract(BrokerSuite):
    """Jobs are stored once, all or none, and are due at their time."""

    async def test_enqueue_returns_which_jobs_are_new(self, broker: Broker) -> None:
        """A repeated id is answered with False and stores no second job."""
        assert await broker.enqueue([self.job("a"), self.job("b")]) == [True, True]
        assert await broker.enqueue([self.job("b"), self.job("c")]) == [False, True]
        assert [lease.job_id for lease in await self.claim(broker)] == ["a", "b", "c"]

    async def test_enqueue_id_twice_in_batch_stores_one_job(self, broker: Broker) -> None:
        """The same job twice in one call is stored once."""
        assert await broker.enqueue([self.job("a"), self.job("a")]) == [True, False]
        assert len(await self.claim(broker)) == 1

    async def test_enqueue_id_of_running_job_is_known(self, broker: Broker) -> None:
        """The id of a claimed job is still known."""
        await broker.enqueue([self.job("a")])
        await self.claim(broker)
        assert await broker.enqueue([self.job("a")]) == [False]
        assert await self.claim(broker) == []

    @pytest.mark.parametrize("changes", [{"payload": b"2"}, {"task": "tasks.play"}], ids=["payload", "task"])
    async def test_enqueue_different_job_with_known_id_conflicts(
        self, broker: Broker, changes: dict[str, object]
    ) -> None:
        """A known id with another task or payload raises JobConflict, and nothing of the batch is stored."""
        await broker.enqueue([self.job("a")])
        with pytest.raises(JobConflict, match="job id a is taken"):
            await broker.enqueue([self.job("b"), self.job("a", **changes)])
        (lease,) = await self.claim(broker)
        assert (lease.job_id, lease.task, lease.payload) == ("a", "tasks.work", b"{}")

    async def test_enqueue_known_id_changes_nothing(self, broker: Broker) -> None:
        """A repeated enqueue with another time or priority changes nothing and is not a conflict."""
        await broker.enqueue([self.job("late", delay=600), self.job("low", priority=1), self.job("mid")])
        again = [self.job("late"), self.job("low", priority=9), self.job("mid", delay=600)]
        assert await broker.enqueue(again) == [False] * 3
        assert [(lease.job_id, lease.priority) for lease in await self.claim(broker)] == [("mid", 5), ("low", 1)]

    async def test_enqueue_empty_batch_returns_empty_list(self, broker: Broker) -> None:
        """Calls with empty lists return empty lists."""
        assert await broker.enqueue([]) == []
        assert await broker.settle([]) == []
        assert await broker.extend([], seconds=10) == []
        assert await broker.reap([]) == []

    async def test_enqueue_thousand_jobs_in_one_batch(self, broker: Broker) -> None:
        """A batch of a thousand jobs is stored whole and in order."""
        ids = [f"job-{n:04}" for n in range(1000)]
        await broker.enqueue([self.job(id) for id in ids])
        assert [lease.job_id for lease in await self.claim(broker, 2000)] == ids

    async def test_enqueue_longest_names_are_kept(self, broker: Broker) -> None:
        """Names of the greatest length, of all characters that are allowed, come back, and case counts."""
        queue, id = "Az09_.-".ljust(64, "q"), "Az09_.:@/+=-".ljust(200, "j")
        task = "Tz09_.:-".ljust(200, "t")
        worker, request = "Wz09_.:@/+=-".ljust(200, "w"), "".join(map(chr, range(33, 97)))
        jobs = [self.job(id, queue=queue, task=task), self.job(id.upper(), queue=queue)]
        assert await broker.enqueue(jobs) == [True, True]
        asked = ClaimRequest(worker_id=worker, queues=(queue,), limit=1, lease=60, request_id=request)
        (lease,) = (await broker.claim(asked)).leases
        assert (lease.job_id, lease.queue, lease.task, lease.worker_id) == (id, queue, task, worker)
        assert (await broker.claim(asked)).leases == [lease]

    async def test_enqueue_payload_is_any_bytes(self, broker: Broker) -> None:
        """Payloads of any bytes are returned unchanged."""
        payloads = [b"", b"\x00\xff\r\n\n", bytes(range(256)), "ü€".encode(), b"x" * 100_000]
        await broker.enqueue([self.job(str(n), payload=payload) for n, payload in enumerate(payloads)])
        assert [lease.payload for lease in await self.claim(broker)] == payloads

    async def test_enqueue_headers_reach_every_lease(self, broker: Broker) -> None:
        """Each lease of a job has the headers that it was enqueued with, and other jobs of the call have none."""
        headers = {"traceparent": "00-1-2-01", "Ü": 'a \x00\n\r\t"\\ €𝄞', "empty": ""}
        await broker.enqueue(
            [self.job("a", headers=headers), self.job("b"), self.job("c", delay=600, headers={"c": "1"})]
        )
        first, plain = await self.claim(broker, 2, lease=self.tick)
        assert (first.headers, plain.headers) == (headers, None)
        assert await broker.settle([Retried(lease=first, delay=0.0), Completed(lease=plain)]) == [Settled.DONE] * 2
        retried = await self.claim_one(broker)
        assert retried.headers == headers
        await broker.settle([Released(lease=retried)])
        assert (await self.claim_one(broker)).headers == headers

    async def test_enqueue_largest_headers_are_kept(self, broker: Broker) -> None:
        """As many and as long headers as are allowed come back."""
        headers = {f"header-{n:03}": "v" * 246 for n in range(MAX_HEADERS)}
        assert sum(len(name) + len(value) for name, value in headers.items()) == MAX_HEADER_BYTES
        await broker.enqueue([self.job("a", headers=headers)])
        assert (await self.claim_one(broker)).headers == headers

    async def test_enqueue_known_id_with_other_headers_changes_nothing(self, broker: Broker) -> None:
        """Headers do not distinguish jobs: those of the first enqueue are kept, and a second one is no conflict."""
        await broker.enqueue([self.job("a", headers={"n": "1"}), self.job("b")])
        again = [self.job("a", headers={"n": "2"}), self.job("b", headers={"n": "2"})]
        assert await broker.enqueue(again) == [False, False]
        leases = await self.claim(broker)
        assert [lease.headers for lease in leases] == [{"n": "1"}, None]
        await broker.settle([Completed(lease=lease, retain_for=60.0) for lease in leases])
        assert await broker.enqueue(again) == [False, False]

    async def test_enqueue_cancelled_then_repeated_runs_once(self, broker: Broker, anyio_backend_name: str) -> None:
        """An enqueue that is cancelled at any point and repeated runs each job once, even if jobs ended meanwhile."""
        # Only asyncio can cancel a task past anyio's scopes.
        ways = [_in_a_scope, _as_a_task] if anyio_backend_name == "asyncio" else [_in_a_scope]
        # Each combination cuts the call short at another point: before it is sent, on its way, or with its answer there
        # but not delivered.
        for cut_short, pause, steps in product(ways, (0.0, 0.01), range(12)):
            jobs = [self.job(f"{cut_short.__name__}-{pause}-{steps}-{n}") for n in range(1 + steps % 2)]
            answered = await cut_short(partial(broker.enqueue, jobs), steps, pause)
            ran = await self.claim(broker)
            await broker.settle([Completed(lease=lease) for lease in ran])
            if not answered:
                # Tracing gives each call other headers.
                await broker.enqueue([structs.replace(job, headers={"again": "1"}) for job in jobs])
                ran += await self.claim(broker)
            assert sorted(lease.job_id for lease in ran) == [job.id for job in jobs]

    async def test_enqueue_delayed_job_is_not_due(self, broker: Broker) -> None:
        """A delayed job cannot be claimed before its time, and `next_due` says when it can."""
        await broker.enqueue([self.job("late", delay=self.tick * 3), self.job("later", delay=600)])
        request = ClaimRequest(worker_id="w", queues=("q",), limit=5, lease=10, request_id="r1")
        claim = await broker.claim(request)
        assert claim.leases == []
        assert claim.next_due is not None
        assert 0 < claim.next_due <= self.tick * 3
        await self.pass_time(self.tick * 3.5)
        assert [lease.job_id for lease in await self.claim(broker)] == ["late"]

    async def test_enqueue_run_at_overrides_delay(self, broker: Broker) -> None:
        """`run_at` on the broker's clock overrides the delay; a moment in the past is due at once."""
        now = await broker.time()
        await broker.enqueue([self.job("past", run_at=now - 100, delay=600), self.job("future", run_at=now + 600)])
        assert [lease.job_id for lease in await self.claim(broker)] == ["past"]

    async def test_enqueue_expires_sets_latest_start_of_lease(self, broker: Broker) -> None:
        """`expires_at` of a lease comes from `expires_at`, or from `expires` after the due time, or is None."""
        now = await broker.time()
        await broker.enqueue(
            [
                self.job("now", expires=60.0),
                self.job("by", expires=60.0, delay=self.tick),
                self.job("at", expires=0.5, run_at=now + self.tick),
                self.job("past", expires=60.0, run_at=now - 1000),
                self.job("until", expires_at=now + 60, delay=self.tick),
                self.job("over", expires_at=now - 60, expires=90.0),
                self.job("never"),
            ]
        )
        await self.pass_time(self.tick * 1.5)
        leases = {lease.job_id: lease for lease in await self.claim(broker)}
        assert leases["never"].expires_at is None
        moments = {id: (leases.pop(id).expires_at or 0) - now for id in ("at", "until", "over")}
        assert moments == pytest.approx({"at": self.tick + 0.5, "until": 60.0, "over": -60.0}, abs=0.01)
        left = {id: (lease.expires_at or 0) - lease.enqueued_at for id, lease in leases.items() if id != "never"}
        assert left == pytest.approx({"now": 60.0, "by": 60.0 + self.tick, "past": 60.0}, abs=0.01)

    async def test_enqueue_jobs_run_in_due_order(self, broker: Broker) -> None:
        """Jobs run in the order of their due times, not of the calls."""
        await broker.enqueue([self.job("c", delay=self.tick * 3), self.job("a", delay=self.tick)])
        await self.pass_time(self.tick * 1.5)
        await broker.enqueue([self.job("b")])
        await self.pass_time(self.tick * 2)
        assert [lease.job_id for lease in await self.claim(broker)] == ["a", "b", "c"]

    async def test_enqueue_delayed_job_keeps_priority(self, broker: Broker) -> None:
        """Delayed jobs that came due run by priority like others."""
        await broker.enqueue(
            [self.job("low", priority=1, delay=self.tick), self.job("high", priority=8, delay=self.tick)]
        )
        await broker.enqueue([self.job("mid", priority=5)])
        await self.pass_time(self.tick * 1.5)
        assert [lease.job_id for lease in await self.claim(broker)] == ["high", "mid", "low"]


async def _in_a_scope(call: Callable[[], Awaitable[object]], steps: int, pause: float) -> bool:
    """Cancel a call after some rounds of the event loop; return whether it was answered before."""
    answered = False

    async def wait() -> None:
        nonlocal answered
        await call()
        answered = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await _go_on(steps, pause)
        tasks.cancel_scope.cancel()
    return answered


async def _as_a_task(call: Callable[[], Awaitable[object]], steps: int, pause: float) -> bool:
    """Cancel like `asyncio.wait_for`, against which anyio's shields do not protect."""
    task = asyncio.ensure_future(call())
    await _go_on(steps, pause)
    task.cancel()
    await asyncio.wait([task])
    return not task.cancelled()


async def _go_on(steps: int, pause: float) -> None:
    """Run some rounds of the event loop, and then give threads and servers some time."""
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    # It blocks the loop on purpose: the store goes on, and the answer lies there when the call is cancelled.
    time.sleep(pause)  # noqa: ASYNC251
