"""Tests `aioq.protocols.Failures`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aioq.conformance import lacking
from aioq.model.attempts import without_traceback
from aioq.model.failures import FAILURE_TTL, MAX_CAUSES, OTHER_CAUSES, Cause, FailureRecord, group_failures
from aioq.model.job import Dead, Expired, Failed, Failure, JobRecord, Lease, Retried, Settlement
from aioq.model.states import JobState
from aioq.protocols import Broker, Failures, JobStore
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["FailuresContract"]

CAUSE = Cause("tasks.work", FAILURE.type, FAILURE.place)


class FailuresContract(BrokerSuite):
    """The suite for `aioq.protocols.Failures`; subclass it beside `JobStoreContract`."""

    @pytest.fixture
    def store(self, broker: Broker) -> JobStore:
        """The broker, as a store of jobs."""
        assert isinstance(broker, JobStore), f"it lacks {lacking(broker, JobStore)}"
        return broker

    @pytest.fixture
    def failures(self, broker: Broker) -> Failures:
        """The broker, as a list of failures."""
        assert isinstance(broker, Failures), f"it lacks {lacking(broker, Failures)}"
        return broker

    async def take_job(self, broker: Broker, id: str, **changes: object) -> Lease:
        """Enqueue a job and claim it."""
        await broker.enqueue([self.job(id, **changes)])
        return await self.claim_one(broker)

    async def fail(self, broker: Broker, *ids: str, failure: Failure = FAILURE, keep: float = 600.0) -> None:
        """Let jobs fail, one after the other."""
        for id in ids:
            await broker.settle([Failed(lease=await self.take_job(broker, id), failure=failure, retain_for=keep)])
            await self.pass_time(0.002)

    async def listed(self, failures: Failures) -> list[str]:
        """Return the ids of the jobs of all failures, after a comparison of the groups with the list."""
        found = await failures.list_failures("q", limit=20_000)
        groups = await failures.failure_groups("q")
        assert sorted(groups, key=repr) == sorted(group_failures(found), key=repr)
        return [record.job_id for record in found]

    async def failure_ids(self, failures: Failures, **filters: object) -> list[str]:
        """Return the ids of failures."""
        return [one.failure_id for one in await failures.list_failures("q", **filters)]  # type: ignore[arg-type]

    async def test_failures_are_counted_beside_states(
        self, broker: Broker, store: JobStore, failures: Failures
    ) -> None:
        """A dead job is one of the dead, also after its failure was dismissed; each count has its own meaning."""
        lease = await self.take_job(broker, "a")
        await broker.settle([Dead(lease=lease, reason="malformed", failure=FAILURE)])
        await self.fail(broker, "b")
        counts = [(stats.dead, stats.expired, stats.failures) for stats in await store.queue_stats()]
        assert counts == [(1, 0, 2)]
        await failures.dismiss_failures(await self.failure_ids(failures), queue="q")
        counts = [(stats.dead, stats.expired, stats.failures) for stats in await store.queue_stats()]
        assert counts == [(1, 0, 0)]

    async def failed_count(self, store: JobStore) -> int:
        """Return the number of failures in the statistics."""
        return {stats.queue: stats.failures for stats in await store.queue_stats()}.get("q", 0)

    async def test_failures_new_queue_has_none(self, failures: Failures) -> None:
        """A queue that was never used has neither failures nor groups."""
        assert await failures.list_failures("q") == []
        assert await failures.failure_groups("q") == []
        assert await failures.get_failure("a~1", queue="q") is None
        assert await failures.replay_failures(["a~1"], queue="q") == [False]
        assert await failures.dismiss_failures(["a~1"], queue="q") == 0

    @pytest.mark.parametrize("state", ["failed", "dead", "dead without a failure", "expired"])
    async def test_failure_is_listed_when_job_ends(
        self, broker: Broker, store: JobStore, failures: Failures, state: str
    ) -> None:
        """Failed, dead and expired jobs are listed with what a person asks for first."""
        lease = await self.take_job(broker, "a")
        ends: dict[str, Settlement] = {
            "failed": Failed(lease=lease, failure=FAILURE, retain_for=600),
            "dead": Dead(lease=lease, reason="malformed", failure=FAILURE),
            "dead without a failure": Dead(lease=lease, reason="malformed"),
            "expired": Expired(lease=lease, failure=FAILURE),
        }
        await broker.settle([ends[state]])
        record, (found,) = await store.get_job("a", queue="q"), await failures.list_failures("q")
        assert record is not None
        silent = state == "dead without a failure"
        assert found == FailureRecord(
            failure_id=found.failure_id, job_id="a", queue="q", task="tasks.work", state=record.state,
            cause=Cause("tasks.work", "malformed", "") if silent else CAUSE, failed_at=record.finished_at or 0.0,
            attempt=1, worker_id="w1", reason=record.reason,
            failure=None if silent else without_traceback(FAILURE),
        )  # fmt: skip
        assert await failures.get_failure(found.failure_id, queue="q") == record
        assert await self.listed(failures) == ["a"]
        assert await self.failed_count(store) == 1

    async def test_failure_of_crashed_job_has_reason_as_cause(self, broker: Broker, failures: Failures) -> None:
        """A job that is dead because it crashed its workers is not counted with the failure of an earlier attempt."""
        await broker.enqueue([self.job("a", max_crashes=1)])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE)])
        await self.claim_one(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        await broker.reap(["q"], lease=self.tick)
        (found,) = await failures.list_failures("q")
        assert (found.state, found.reason, found.failure) == (JobState.DEAD, "crashed", None)
        assert found.cause == Cause("tasks.work", "crashed", "")
        job = await failures.get_failure(found.failure_id, queue="q")
        assert job is not None
        assert job.failure == FAILURE

    async def test_failures_completed_and_cancelled_jobs_are_not_listed(
        self, broker: Broker, store: JobStore, failures: Failures
    ) -> None:
        """A job that a person has cancelled, one that is to be retried, and one that runs are no failures."""
        await self.take_job(broker, "a")
        await store.cancel_job("a", queue="q")
        await broker.settle([Retried(lease=await self.take_job(broker, "b"), delay=600, failure=FAILURE)])
        await self.take_job(broker, "c")
        assert await self.listed(failures) == []
        assert await self.failed_count(store) == 0

    async def test_failures_of_one_cause_are_a_group(self, broker: Broker, failures: Failures) -> None:
        """Task, type and place make the cause; messages may differ. The newest failure is the sample."""
        await self.fail(broker, "a", failure=Failure("ValueError", "1", "", "m:f"))
        await self.fail(broker, "b", failure=Failure("ValueError", "1", "", "m:g"))
        await self.fail(broker, "c", failure=Failure("ValueError", "2", "other lines", "m:f"))
        await self.fail(broker, "d", failure=Failure("KeyError", "1", "", "m:f"))
        groups = await failures.failure_groups("q")
        assert [(one.cause.type, one.cause.place, one.count, one.sample.job_id) for one in groups] == [
            ("KeyError", "m:f", 1, "d"),
            ("ValueError", "m:f", 2, "c"),
            ("ValueError", "m:g", 1, "b"),
        ]
        assert groups[1].first < groups[1].last
        assert await self.listed(failures) == ["d", "c", "b", "a"]

    async def test_list_failures_of_cause_and_text_in_pages(self, broker: Broker, failures: Failures) -> None:
        """A page begins after the last failure of the one before, also if that has left the list."""
        await self.fail(broker, *"abc", failure=Failure("ValueError", "Bad Luck", "", "m:f"))
        await self.fail(broker, *"de")
        first = await failures.list_failures("q", limit=2)
        assert [one.job_id for one in first] == ["e", "d"]
        rest = await failures.list_failures("q", after=first[-1])
        assert [one.job_id for one in rest] == ["c", "b", "a"]
        cause = rest[0].cause
        (newest,) = await failures.list_failures("q", cause=cause, limit=1)
        assert newest.job_id == "c"
        await failures.dismiss_failures([newest.failure_id], queue="q")
        for filters in ({"cause": cause}, {}):
            page = await failures.list_failures("q", after=newest, **filters)  # type: ignore[arg-type]
            assert [one.job_id for one in page] == ["b", "a"]
        assert [one.job_id for one in await failures.list_failures("q", text="bad luck")] == ["b", "a"]
        assert [one.job_id for one in await failures.list_failures("q", text="TASKS:WORK")] == ["e", "d"]
        assert await failures.list_failures("q", limit=0) == []

    async def test_failure_outlives_record_and_id_is_free(
        self, broker: Broker, store: JobStore, failures: Failures
    ) -> None:
        """After `retain_for` the id can be used again; the failure and all of its job are still known."""
        await broker.settle(
            [Failed(lease=await self.take_job(broker, "a", payload=b"[7]"), failure=FAILURE, retain_for=self.tick)]
        )
        await self.fail(broker, "b", keep=0)
        await self.pass_time(self.tick * 1.5)
        assert await store.get_job("a", queue="q") is None
        assert await self.listed(failures) == ["b", "a"]
        job = await failures.get_failure((await self.failure_ids(failures))[-1], queue="q")
        assert job is not None
        assert (job.id, job.payload, job.failure, job.state) == ("a", b"[7]", FAILURE, JobState.FAILED)
        assert await broker.enqueue([self.job("a", payload=b"[8]")]) == [True]
        await broker.settle([Failed(lease=await self.claim_one(broker), failure=FAILURE)])
        assert await self.listed(failures) == ["a", "b", "a"]
        assert len(set(await self.failure_ids(failures))) == 3

    async def test_replay_failures_without_record_runs_job_again(
        self, broker: Broker, store: JobStore, failures: Failures
    ) -> None:
        """A replayed job is the one that failed, with attempts counted anew and epochs that go on."""
        lease = await self.take_job(broker, "a", payload=b"[7]", priority=9, headers={"from": "a"})
        await broker.settle([Failed(lease=lease, failure=FAILURE)])
        assert await failures.replay_failures(await self.failure_ids(failures), queue="q") == [True]
        assert await self.listed(failures) == []
        record = await self.stored_record(store, "a")
        assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, FAILURE)
        again = await self.claim_one(broker)
        assert (again.job_id, again.payload, again.priority) == ("a", b"[7]", 9)
        assert (again.attempt, again.enqueued_at, again.headers) == (1, lease.enqueued_at, {"from": "a"})
        assert again.epoch > lease.epoch
        await broker.settle([Failed(lease=again, failure=FAILURE)])
        assert await self.listed(failures) == ["a"]

    async def test_replay_failures_with_record_is_retry(
        self, broker: Broker, store: JobStore, failures: Failures
    ) -> None:
        """Both ways to replay a job take its failure off the list, and only one of them runs it."""
        await self.fail(broker, "a", "b")
        newer, older = await self.failure_ids(failures)
        assert await store.retry_job("a", queue="q")
        assert await failures.replay_failures([older, newer], queue="q") == [False, True]
        assert await self.listed(failures) == []
        assert not await store.retry_job("b", queue="q")
        assert sorted(lease.job_id for lease in await self.claim(broker)) == ["a", "b"]

    @pytest.mark.parametrize("ended", [False, True])
    async def test_replay_failures_id_in_use_is_refused(self, broker: Broker, failures: Failures, ended: bool) -> None:
        """A failure whose id another job has now stays listed, and the other job stays as it is."""
        await self.fail(broker, "a", keep=0)
        old = await self.failure_ids(failures)
        lease = await self.take_job(broker, "a", payload=b"[8]")
        if ended:
            await broker.settle([Failed(lease=lease, failure=FAILURE, retain_for=600)])
        assert await failures.replay_failures(old, queue="q") == [False]
        assert old[0] in await self.failure_ids(failures)
        assert await self.claim(broker) == []

    async def test_dismiss_failures_leaves_record(self, broker: Broker, store: JobStore, failures: Failures) -> None:
        """A dismissed failure is gone from list, groups and statistics; the record of its job stays for its time."""
        await self.fail(broker, "a", "b")
        newer, older = await self.failure_ids(failures)
        assert await failures.dismiss_failures([newer, newer, "nothing~1"], queue="q") == 1
        assert await self.listed(failures) == ["a"]
        assert await self.failed_count(store) == 1
        assert await failures.get_failure(newer, queue="q") is None
        assert (await self.stored_record(store, "b")).failure == FAILURE
        assert await failures.dismiss_failures([newer, older], queue="q") == 1
        assert await failures.failure_groups("q") == []
        assert await store.retry_job("b", queue="q")

    async def test_failures_sample_that_leaves_is_replaced(self, broker: Broker, failures: Failures) -> None:
        """The sample, the first and the last moment of a group are those of the failures that are listed."""
        await self.fail(broker, *"abcd")
        d, c, _b, a = await self.failure_ids(failures)
        for gone, left in ((d, ["c", "b", "a"]), (a, ["c", "b"]), (c, ["b"])):
            await failures.dismiss_failures([gone], queue="q")
            assert await self.listed(failures) == left

    async def test_failures_many_causes_are_bounded(self, broker: Broker, failures: Failures) -> None:
        """Causes after the first `MAX_CAUSES` are counted together, until others have left the list."""
        names = [f"Error{n}" for n in range(MAX_CAUSES + 3)]
        await self._settle_together(broker, [Failure(name, "no", "", "m:f") for name in names])
        groups = await failures.failure_groups("q")
        assert len(groups) == MAX_CAUSES + 1
        (others,) = [one for one in groups if one.cause == OTHER_CAUSES]
        assert others.count == 3
        assert len(await failures.list_failures("q", cause=OTHER_CAUSES)) == 3
        first = next(one for one in groups if one.cause != OTHER_CAUSES)
        await failures.dismiss_failures(await self.failure_ids(failures, cause=first.cause), queue="q")
        await self.fail(broker, "late", failure=Failure("Late", "no", "", "m:f"))
        assert Cause("tasks.work", "Late", "m:f") in {one.cause for one in await failures.failure_groups("q")}
        await self.listed(failures)

    async def test_failures_leave_after_their_time(self, broker: Broker, store: JobStore, failures: Failures) -> None:
        """After a week a failure is in no answer; on a real clock, three seconds take none away."""
        await self.fail(broker, "a", keep=0)
        await self.pass_long(FAILURE_TTL / 2)
        await self.fail(broker, "b", keep=0)
        assert await self.listed(failures) == ["b", "a"]
        await self.pass_long(FAILURE_TTL / 2)
        left = ["b"] if self.virtual_time else ["b", "a"]
        assert await self.failed_count(store) == len(left)
        assert await self.listed(failures) == left

    async def test_failures_settled_again_are_listed_once(self, broker: Broker, failures: Failures) -> None:
        """A repeated settlement changes nothing."""
        settlement = Failed(lease=await self.take_job(broker, "a"), failure=FAILURE, retain_for=600)
        for _ in range(2):
            await broker.settle([settlement])
        assert await self.listed(failures) == ["a"]

    async def test_failures_of_queues_are_apart(self, broker: Broker, peer: Broker, failures: Failures) -> None:
        """Another queue has a list of its own, and another broker on the store sees the same ones."""
        await self.fail(broker, "a")
        await broker.enqueue([self.job("a", queue="other")])
        (lease,) = await self.claim(broker, queues=("other",))
        await broker.settle([Failed(lease=lease, failure=FAILURE, retain_for=600)])
        assert await self.listed(failures) == ["a"]
        assert isinstance(peer, Failures)
        (found,) = await peer.list_failures("other")
        assert found.queue == "other"
        assert await peer.dismiss_failures([found.failure_id], queue="other") == 1
        assert await self.listed(failures) == ["a"]

    async def stored_record(self, store: JobStore, id: str) -> JobRecord:
        """Return a record that must be there."""
        record = await store.get_job(id, queue="q")
        assert record is not None
        return record

    async def _settle_together(self, broker: Broker, failed: Sequence[Failure]) -> None:
        await broker.enqueue([self.job(f"j{n}") for n in range(len(failed))])
        leases = await self.claim(broker, len(failed))
        settlements = [Failed(lease=lease, failure=one) for lease, one in zip(leases, failed, strict=True)]
        await broker.settle(settlements)
