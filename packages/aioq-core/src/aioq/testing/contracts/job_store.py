"""Tests `aioq.protocols.JobStore`."""

from __future__ import annotations

import pytest
from msgspec import structs

from aioq.conformance import lacking
from aioq.model.job import (
    Completed,
    Dead,
    Expired,
    Failed,
    Failure,
    JobRecord,
    Lease,
    NewJob,
    QueueStats,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.states import JobState
from aioq.protocols import Broker, JobStore
from aioq.testing.contracts.identity import StoredIdentityContract
from aioq.testing.contracts.suite import FAILURE
from aioq.testing.contracts.transitions import TransitionContract

__all__ = ["JobStoreContract"]


class JobStoreContract(TransitionContract, StoredIdentityContract):
    """The suite for `aioq.protocols.JobStore`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def store(self, broker: Broker) -> JobStore:
        """The broker, as a store of jobs."""
        assert isinstance(broker, JobStore), f"it lacks {lacking(broker, JobStore)}"
        return broker

    async def settled(self, broker: Broker, settlement: Settlement) -> None:
        """Settle one job, and check that the broker accepts the settlement."""
        assert await broker.settle([settlement]) == [Settled.DONE]

    async def leased(self, broker: Broker, id: str = "a") -> Lease:
        """Enqueue a job and claim it."""
        await broker.enqueue([self.job(id)])
        return await self.claim_one(broker)

    async def record(self, store: JobStore, id: str = "a") -> JobRecord:
        """Return a record that must be there."""
        record = await store.get_job(id, queue="q")
        assert record is not None
        return record

    async def test_get_job_unknown_returns_none(self, broker: Broker, store: JobStore) -> None:
        """There is no record of an unknown id, nor of a job in another queue."""
        await broker.enqueue([self.job("a")])
        assert await store.get_job("unknown", queue="q") is None
        assert await store.get_job("a", queue="other") is None

    async def test_get_job_new_job_is_pending(self, broker: Broker, store: JobStore) -> None:
        """The record of a new job has all fields that the client set."""
        await broker.enqueue([self.job("a", payload=b"[1]", priority=3, headers={"from": "a"})])
        record = await self.record(store)
        assert (record.state, record.task, record.payload) == (JobState.PENDING, "tasks.work", b"[1]")
        assert record.headers == {"from": "a"}
        assert (record.priority, record.attempt, record.worker_id) == (3, 0, None)
        assert record.run_at == record.enqueued_at

    async def test_get_job_delayed_job_is_scheduled(self, broker: Broker, store: JobStore) -> None:
        """The record of a scheduled job has the time at which it comes due."""
        await broker.enqueue([self.job("a", delay=600)])
        record = await self.record(store)
        assert record.state is JobState.SCHEDULED
        assert record.run_at == pytest.approx(record.enqueued_at + 600, abs=0.01)

    async def test_get_job_claimed_job_is_running(self, broker: Broker, store: JobStore) -> None:
        """The record of a running job has its worker, start and attempt."""
        await self.leased(broker)
        record = await self.record(store)
        assert (record.state, record.attempt, record.worker_id) == (JobState.RUNNING, 1, "w1")
        assert record.started_at is not None
        assert record.started_at >= record.enqueued_at

    async def test_get_job_texts_of_failure_are_kept(self, broker: Broker, store: JobStore) -> None:
        """The texts of a failure come back with any characters that UTF-8 can encode."""
        failure = Failure("Ü.Error", "a\x00b \n\r '\" \\ €𝄞", "line 1\n  line 2\x00\x7f", "shop.tasks:send")
        await self.settled(broker, Failed(lease=await self.leased(broker), failure=failure, retain_for=60))
        assert (await self.record(store)).failure == failure

    async def test_get_job_completed_job_has_result(self, broker: Broker, store: JobStore) -> None:
        """The result is stored for `retain_for` seconds, and no longer."""
        lease = await self.leased(broker)
        await self.settled(broker, Completed(lease=lease, result=b'"ok\x00"', retain_for=self.tick * 3))
        record = await self.record(store)
        assert (record.state, record.result, record.attempt) == (JobState.COMPLETED, b'"ok\x00"', 1)
        assert record.finished_at is not None
        await self.pass_time(self.tick * 4)
        assert await store.get_job("a", queue="q") is None

    async def test_settle_retain_for_zero_leaves_no_record(self, broker: Broker, store: JobStore) -> None:
        """`retain_for=0` drops the job at once."""
        await self.settled(broker, Completed(lease=await self.leased(broker)))
        assert await store.get_job("a", queue="q") is None

    async def test_get_job_failed_job_has_failure(self, broker: Broker, store: JobStore) -> None:
        """The record has the type, message and traceback of the failure."""
        await self.settled(broker, Failed(lease=await self.leased(broker), failure=FAILURE, retain_for=60))
        record = await self.record(store)
        assert (record.state, record.failure) == (JobState.FAILED, FAILURE)

    async def test_get_job_retrying_job_has_failure(self, broker: Broker, store: JobStore) -> None:
        """Between attempts the job is `retrying`, with its failure and its next due time."""
        await self.settled(broker, Retried(lease=await self.leased(broker), delay=600, failure=FAILURE))
        record = await self.record(store)
        assert (record.state, record.failure, record.attempt) == (JobState.RETRYING, FAILURE, 1)
        assert record.run_at is not None

    async def test_get_job_due_job_has_the_time_at_which_it_came_due(self, broker: Broker, store: JobStore) -> None:
        """A pending job was due after its delay, or after that of its retry, and not when it was enqueued."""
        await broker.enqueue([self.job("a", delay=self.tick)])
        await self.pass_time(self.tick * 2)
        lease = await self.claim_one(broker)
        await self.settled(broker, Released(lease=lease))
        released = await self.record(store)
        assert released.state is JobState.PENDING
        assert released.run_at is not None
        assert released.run_at >= released.enqueued_at + self.tick / 2
        before = await broker.time()
        await self.settled(broker, Retried(lease=await self.claim_one(broker), delay=0))
        retried = await self.record(store)
        assert retried.run_at is not None
        assert before - 0.01 <= retried.run_at <= await broker.time() + 0.01
        await self.claim_one(broker)
        assert (await self.record(store)).run_at is None

    async def test_list_dead_jobs_newest_first_with_reason(self, broker: Broker, store: JobStore) -> None:
        """Dead jobs are listed with their reasons, newest first."""
        for id in "ab":
            await self.settled(broker, Dead(lease=await self.leased(broker, id), reason="unknown_task"))
            await self.pass_time(self.tick / 10)
        assert [record.id for record in await store.list_dead_jobs("q")] == ["b", "a"]
        assert [record.id for record in await store.list_dead_jobs("q", limit=1, offset=1)] == ["a"]
        record = await self.record(store)
        assert (record.state, record.reason) == (JobState.DEAD, "unknown_task")

    async def test_get_job_expired_job_has_own_state(self, broker: Broker, store: JobStore) -> None:
        """An expired job has its own state and a failure text, is not listed as dead, and is settled once."""
        late = Expired(lease=await self.leased(broker), failure=Failure("Expired", "1 s too late"))
        await self.settled(broker, late)
        assert await broker.settle([late]) == [Settled.ALREADY]
        record = await self.record(store)
        assert (record.state, record.failure, record.reason) == (JobState.EXPIRED, late.failure, None)
        assert record.finished_at is not None
        assert [record.id for record in await store.list_jobs("q", JobState.EXPIRED)] == ["a"]
        assert await store.list_dead_jobs("q") == []
        assert await broker.enqueue([self.job("a")]) == [False]

    async def test_reap_max_crashes_gives_reason_crashed(self, broker: Broker, store: JobStore) -> None:
        """A job that the reaper marks dead has the reason `crashed`."""
        await broker.enqueue([self.job("a", max_crashes=1)])
        await self.claim_one(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        await broker.reap(["q"])
        (record,) = await store.list_dead_jobs("q")
        assert (record.id, record.reason, record.crashes) == ("a", "crashed", 1)

    async def test_list_jobs_by_state(self, broker: Broker, store: JobStore) -> None:
        """`list_jobs` returns the jobs of one state; pending ones in the order of execution."""
        jobs = [self.job("low", priority=1), self.job("high", priority=9), self.job("late", delay=600)]
        await broker.enqueue([*jobs, self.job("elsewhere", queue="other")])
        assert [record.id for record in await store.list_jobs("q", JobState.PENDING)] == ["high", "low"]
        assert [record.id for record in await store.list_jobs("q", JobState.PENDING, limit=1, offset=1)] == ["low"]
        assert [record.id for record in await store.list_jobs("q", JobState.SCHEDULED)] == ["late"]
        lease = await self.claim_one(broker)
        assert [record.id for record in await store.list_jobs("q", JobState.RUNNING)] == ["high"]
        await self.settled(broker, Completed(lease=lease, retain_for=60))
        assert [record.id for record in await store.list_jobs("q", JobState.COMPLETED)] == ["high"]
        assert await store.list_jobs("q", JobState.RETRYING) == []

    async def test_list_jobs_waiting_jobs_in_running_order(self, broker: Broker, store: JobStore) -> None:
        """Waiting jobs are listed in the order of execution."""
        await broker.enqueue([self.job("later", delay=900), self.job("sooner", delay=600), self.job("b", priority=6)])
        await broker.enqueue([self.job("last", priority=4), self.job("c", priority=6)])
        assert [record.id for record in await store.list_jobs("q", JobState.SCHEDULED)] == ["sooner", "later"]
        assert [job.id for job in await store.list_jobs("q", JobState.SCHEDULED, limit=1, offset=1)] == ["later"]
        pending = [record.id for record in await store.list_jobs("q", JobState.PENDING)]
        assert pending == ["b", "c", "last"]
        assert [job.id for job in await store.list_jobs("q", JobState.PENDING, limit=2, offset=1)] == ["c", "last"]

    async def test_get_job_describes_latest_attempt(self, broker: Broker, store: JobStore) -> None:
        """The record has the worker and number of the latest attempt, also after the job has ended."""
        await broker.enqueue([self.job("a")])
        await self.settled(broker, Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE))
        lease = await self.claim_one(broker, worker="w2")
        await self.settled(broker, Completed(lease=lease, result=b"1", retain_for=60))
        record = await self.record(store)
        assert (record.state, record.attempt, record.worker_id) == (JobState.COMPLETED, 2, "w2")
        assert (record.run_at, record.reason) == (None, None)

    async def test_queue_stats_count_by_queue(self, broker: Broker, store: JobStore) -> None:
        """Each queue that held a job has counts, sorted by name."""
        await broker.enqueue([self.job("e", queue="z")])
        await broker.enqueue([self.job("a"), self.job("b"), self.job("c", delay=600), self.job("d", queue="z")])
        await broker.enqueue([self.job("f")])
        await self.settled(broker, Dead(lease=await self.claim_one(broker), reason="malformed"))
        await self.settled(broker, Expired(lease=await self.claim_one(broker), failure=FAILURE))
        await self.claim_one(broker)
        # Failures are counted by brokers that list them, see `FailuresContract`.
        found = [structs.replace(stats, failures=0) for stats in await store.queue_stats()]
        assert [stats for stats in found if stats.queue in ("q", "z")] == [
            QueueStats(queue="q", pending=0, scheduled=1, running=1, dead=1, expired=1),
            QueueStats(queue="z", pending=2, scheduled=0, running=0, dead=0, expired=0),
        ]

    async def test_queue_stats_count_retrying_as_scheduled(self, broker: Broker, store: JobStore) -> None:
        """A retrying job counts as scheduled, and a queue without jobs is still listed."""
        await self.settled(broker, Retried(lease=await self.leased(broker), delay=600))
        assert [(stats.queue, stats.scheduled) for stats in await store.queue_stats()] == [("q", 1)]
        await broker.enqueue([self.job("b", queue="z")])
        await broker.settle([Completed(lease=lease) for lease in await self.claim(broker, queues=("z",))])
        assert [stats.queue for stats in await store.queue_stats()] == ["q", "z"]

    async def test_queue_stats_omit_queues_without_past(self, broker: Broker, store: JobStore) -> None:
        """A queue that never had a job is not listed, although workers claimed from it and reaped it."""
        await broker.enqueue([self.job("a")])
        await self.claim(broker, queues=("new", "q"))
        await broker.reap(["new", "q"])
        await store.list_jobs("new", JobState.PENDING)
        assert [stats.queue for stats in await store.queue_stats()] == ["q"]

    @pytest.mark.parametrize("changes", [{}, {"delay": 600.0}], ids=["pending", "scheduled"])
    async def test_cancel_job_waiting(self, broker: Broker, store: JobStore, changes: dict[str, object]) -> None:
        """A waiting job can be cancelled, and no worker gets it afterwards."""
        await broker.enqueue([self.job("a", **changes)])
        assert await store.cancel_job("a", queue="q") is True
        assert await store.cancel_job("a", queue="q") is False
        assert await self.claim(broker) == []
        assert (await self.record(store)).state is JobState.CANCELLED

    async def test_cancel_job_retrying(self, broker: Broker, store: JobStore) -> None:
        """A retrying job that is cancelled has no further attempt."""
        await self.settled(broker, Retried(lease=await self.leased(broker), delay=self.tick, failure=FAILURE))
        assert await store.cancel_job("a", queue="q") is True
        await self.pass_time(self.tick * 1.5)
        assert await self.claim(broker) == []
        assert (await self.record(store)).state is JobState.CANCELLED

    async def test_cancel_job_of_other_queue_changes_nothing(self, broker: Broker, store: JobStore) -> None:
        """A job of another queue is neither cancelled nor replayed."""
        await broker.enqueue([self.job("a"), self.job("b")])
        assert await store.cancel_job("a", queue="other") is False
        await self.settled(broker, Dead(lease=await self.claim_one(broker), reason="malformed"))
        assert await store.retry_job("a", queue="other") is False
        assert (await self.record(store)).state is JobState.DEAD
        assert await store.retry_job("a", queue="q") is True

    async def test_cancel_job_running_loses_lease(self, broker: Broker, store: JobStore) -> None:
        """After the cancellation of a running job its lease is lost, and its settlement is not accepted."""
        lease = await self.leased(broker)
        assert await store.cancel_job("a", queue="q") is True
        assert await broker.extend([lease], seconds=60) == [lease]
        assert await broker.settle([Completed(lease=lease, result=b"1", retain_for=60)]) != [Settled.DONE]
        assert (await self.record(store)).state is JobState.CANCELLED

    async def test_cancel_job_ended_or_unknown_returns_false(self, broker: Broker, store: JobStore) -> None:
        """Cancelling an ended or unknown job returns False and changes nothing."""
        await self.settled(broker, Completed(lease=await self.leased(broker), result=b"1", retain_for=60))
        assert await store.cancel_job("a", queue="q") is False
        assert await store.cancel_job("unknown", queue="q") is False
        assert (await self.record(store)).state is JobState.COMPLETED

    async def test_retry_job_ended_jobs_run_again(self, broker: Broker, store: JobStore) -> None:
        """Failed, dead, expired and cancelled jobs run again with their own payload, headers and priority."""
        jobs: list[NewJob] = [self.job(id, payload=id.encode(), priority=7, headers={"id": id}) for id in "abcd"]
        await broker.enqueue(jobs)
        a, b, c = await self.claim(broker, 3)
        ends: list[Settlement] = [Failed(lease=a, failure=FAILURE, retain_for=60), Dead(lease=b, reason="malformed")]
        await broker.settle([*ends, Expired(lease=c, failure=FAILURE)])
        await store.cancel_job("d", queue="q")
        assert [await store.retry_job(id, queue="q") for id in "abcd"] == [True] * 4
        again = {lease.job_id: lease for lease in await self.claim(broker)}
        assert {id: (lease.payload, lease.attempt, lease.priority) for id, lease in again.items()} == {
            id: (id.encode(), 1, 7) for id in "abcd"
        }
        assert [again[id].headers for id in "abcd"] == [{"id": id} for id in "abcd"]
        # Attempts start again at 1, epochs go on: a late report of the first run has to stay stale.
        assert again["a"].epoch > a.epoch
        assert await store.list_dead_jobs("q") == []
        assert await store.list_jobs("q", JobState.EXPIRED) == []

    async def test_retry_job_other_states_returns_false(self, broker: Broker, store: JobStore) -> None:
        """Waiting, running, completed and unknown jobs cannot be replayed."""
        await broker.enqueue([self.job("waits", delay=600)])
        lease = await self.leased(broker)
        assert await store.retry_job("waits", queue="q") is False
        assert await store.retry_job("a", queue="q") is False
        await self.settled(broker, Completed(lease=lease, result=b"1", retain_for=60))
        assert await store.retry_job("a", queue="q") is False
        assert await store.retry_job("unknown", queue="q") is False

    async def test_retry_job_brings_waiting_retry_forward(self, broker: Broker, store: JobStore) -> None:
        """A job that waits for its retry is due now, in the place of its priority, and its attempts count on."""
        await broker.enqueue([self.job("a", priority=7, headers={"a": "b"}), self.job("b", max_crashes=5)])
        a, b = await self.claim(broker, 2)
        await broker.settle([Retried(lease=lease, delay=600, failure=FAILURE) for lease in (a, b)])
        await broker.enqueue([self.job("c", priority=7)])
        await self.pass_time(self.tick / 10)
        assert [await store.retry_job(id, queue="q") for id in "ba"] == [True, True]
        record = await self.record(store)
        assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 1, FAILURE)
        assert record.worker_id == a.worker_id
        assert record.run_at is not None
        assert record.run_at <= await broker.time()
        claim = await broker.claim(self.request())
        assert [(lease.job_id, lease.attempt) for lease in claim.leases] == [("c", 1), ("a", 2), ("b", 2)]
        assert (claim.leases[1].headers, claim.leases[2].max_crashes, claim.next_due) == ({"a": "b"}, 5, None)
        # A late repetition of the report is no second one, and the job is not in its queue a second time.
        assert await broker.settle([Retried(lease=a, delay=0, failure=FAILURE)]) != [Settled.DONE]
        assert await self.claim(broker) == []

    async def test_retry_job_of_due_retry_returns_false(self, broker: Broker, store: JobStore) -> None:
        """A retry whose time has come is pending as any job."""
        lease = await self.leased(broker)
        await broker.settle([Retried(lease=lease, delay=self.tick, failure=FAILURE)])
        await self.pass_time(self.tick * 1.5)
        assert await store.retry_job("a", queue="q") is False
        assert [again.job_id for again in await self.claim(broker)] == ["a"]

    async def test_retry_job_resets_counts_and_place(self, broker: Broker, store: JobStore) -> None:
        """A replayed job has no crashes, is claimed after other jobs, and keeps only its failure."""
        await broker.enqueue([self.job("a", max_crashes=2)])
        for _ in range(2):
            await self.claim_one(broker, lease=self.tick)
            await self.pass_time(self.tick * 1.5)
            await broker.reap(["q"])
        await broker.enqueue([self.job("b")])
        await self.pass_time(self.tick / 10)
        assert await store.retry_job("a", queue="q") is True
        record = await self.record(store)
        assert (record.state, record.attempt, record.crashes) == (JobState.PENDING, 0, 0)
        assert (record.reason, record.finished_at) == (None, None)
        claim = await broker.claim(self.request())
        assert ([lease.job_id for lease in claim.leases], claim.alone_for) == (["b", "a"], 0)

    async def test_retry_job_outlives_old_retention(self, broker: Broker, store: JobStore) -> None:
        """A replayed job is not dropped when the retention of its earlier end is over."""
        await self.settled(broker, Failed(lease=await self.leased(broker), failure=FAILURE, retain_for=self.tick))
        assert await store.retry_job("a", queue="q") is True
        await self.pass_time(self.tick * 1.5)
        assert (await self.record(store)).state is JobState.PENDING
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]
