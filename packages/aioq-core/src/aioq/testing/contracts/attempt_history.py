"""Tests `JobRecord.attempts`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from aioq.conformance import lacking
from aioq.model.attempts import attempt_of, without_traceback
from aioq.model.job import (
    MAX_ATTEMPTS,
    AttemptOutcome,
    Completed,
    Dead,
    Expired,
    Failed,
    HandedBack,
    JobRecord,
    Lease,
    Released,
    Retried,
    Settlement,
)
from aioq.protocols import Broker, JobStore
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["AttemptHistoryContract"]

SETTLEMENTS: dict[str, Callable[[Lease], Settlement]] = {
    "completed": lambda lease: Completed(lease=lease, result=b"1", retain_for=600),
    "failed": lambda lease: Failed(lease=lease, failure=FAILURE, retain_for=600),
    "dead": lambda lease: Dead(lease=lease, reason="malformed", failure=FAILURE),
    "dead without a failure": lambda lease: Dead(lease=lease, reason="malformed"),
    "expired": lambda lease: Expired(lease=lease, failure=FAILURE),
    "retried": lambda lease: Retried(lease=lease, delay=600, failure=FAILURE),
    "retried without a failure": lambda lease: Retried(lease=lease, delay=0),
    "handed back": lambda lease: HandedBack(lease=lease, delay=600, failure=FAILURE),
    "released": lambda lease: Released(lease=lease, started=True),
    "released before its start": lambda lease: Released(lease=lease),
}


class AttemptHistoryContract(BrokerSuite):
    """The suite for a broker that stores the latest attempts of its jobs. A broker need not.

    Subclass it together with `JobStoreContract`. The broker states `stores_attempts = True`.
    """

    @pytest.fixture
    def store(self, broker: Broker) -> JobStore:
        """The broker, as a store of jobs."""
        assert isinstance(broker, JobStore), f"it lacks {lacking(broker, JobStore)}"
        return broker

    async def attempts(self, store: JobStore, id: str = "a") -> list[tuple[int, AttemptOutcome]]:
        """Return the number and the outcome of each attempt."""
        return [(attempt.number, attempt.outcome) for attempt in (await self.known(store, id)).attempts]

    async def known(self, store: JobStore, id: str = "a") -> JobRecord:
        """Return a record that must be there."""
        record = await store.get_job(id, queue="q")
        assert record is not None
        return record

    @pytest.mark.parametrize("kind", SETTLEMENTS)
    async def test_attempt_that_was_settled_is_in_record(self, broker: Broker, store: JobStore, kind: str) -> None:
        """The record says who ran the job, since when, for how long, and how it ended, without the traceback."""
        await broker.enqueue([self.job("a")])
        assert await self.attempts(store) == []
        settlement = SETTLEMENTS[kind](await self.claim_one(broker))
        running = await self.known(store)
        assert running.attempts == ()
        await self.pass_time(self.tick)
        await broker.settle([settlement])
        record = await self.known(store)
        expected = attempt_of(settlement, started_at=running.started_at or 0.0, now=0.0)
        assert len(record.attempts) == (expected is not None)
        if expected is not None:
            (attempt,) = record.attempts
            assert attempt.duration == pytest.approx(self.tick, abs=30 if not self.virtual_time else 0.01)
            assert attempt.duration >= self.tick * 0.9
            assert attempt.started_at == pytest.approx(running.started_at, abs=0.01)
            assert attempt == replace(expected, started_at=attempt.started_at, duration=attempt.duration)

    async def test_attempts_of_job_are_the_latest(self, broker: Broker, store: JobStore) -> None:
        """Of seven attempts the last five are stored, the oldest first, in live and in ended jobs."""
        await broker.enqueue([self.job("a")])
        for _ in range(MAX_ATTEMPTS + 1):
            await broker.settle([Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE)])
        retried = AttemptOutcome.RETRIED
        assert await self.attempts(store) == [(n, retried) for n in (2, 3, 4, 5, 6)]
        await broker.settle([Failed(lease=await self.claim_one(broker), failure=FAILURE, retain_for=600)])
        assert await self.attempts(store) == [*((n, retried) for n in (3, 4, 5, 6)), (7, AttemptOutcome.FAILED)]
        record = await self.known(store)
        assert record.failure == FAILURE
        assert {attempt.failure for attempt in record.attempts} == {without_traceback(FAILURE)}

    async def test_attempts_of_completed_job_include_those_that_failed(self, broker: Broker, store: JobStore) -> None:
        """The record of a completed job has its result and what happened before."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE)])
        lease = await self.claim_one(broker, worker="w2")
        await broker.settle([Completed(lease=lease, result=b"[1]", retain_for=600)])
        record = await self.known(store)
        assert record.result == b"[1]"
        assert [attempt.worker_id for attempt in record.attempts] == ["w1", "w2"]
        assert await self.attempts(store) == [(1, AttemptOutcome.RETRIED), (2, AttemptOutcome.COMPLETED)]

    async def test_attempt_that_does_not_count_has_number_of_next(self, broker: Broker, store: JobStore) -> None:
        """A job that was released or handed back has the number of the next attempt; the list shows both."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Released(lease=await self.claim_one(broker), started=True)])
        await broker.settle([HandedBack(lease=await self.claim_one(broker), delay=0.001, failure=FAILURE)])
        await self.pass_time(self.tick)
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=600)])
        assert await self.attempts(store) == [
            (1, AttemptOutcome.RELEASED),
            (1, AttemptOutcome.HANDED_BACK),
            (1, AttemptOutcome.RETRIED),
        ]

    async def test_attempt_that_crashed_is_known(self, broker: Broker, store: JobStore) -> None:
        """The crash of a worker is an attempt, too, and that of the last one of a dead job."""
        await broker.enqueue([self.job("a", max_crashes=1)])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE)])
        await self.claim_one(broker, worker="w2", lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        await broker.reap(["q"], lease=self.tick)
        record = await self.known(store)
        assert await self.attempts(store) == [(1, AttemptOutcome.RETRIED), (2, AttemptOutcome.CRASHED)]
        crashed = record.attempts[-1]
        assert (crashed.worker_id, crashed.failure) == ("w2", None)
        assert crashed.started_at == record.started_at
        # It did not extend its lease, so nothing is known of how long it ran.
        assert crashed.duration == pytest.approx(0, abs=0.1)
        assert record.failure == FAILURE

    async def test_attempt_that_was_cancelled_is_known(self, broker: Broker, store: JobStore) -> None:
        """A job that was cancelled while it ran has an attempt more, and one that waited has not."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE)])
        await self.claim_one(broker)
        await store.cancel_job("a", queue="q")
        assert await self.attempts(store) == [(1, AttemptOutcome.RETRIED), (2, AttemptOutcome.CANCELLED)]
        await broker.enqueue([self.job("b")])
        await store.cancel_job("b", queue="q")
        assert await self.attempts(store, "b") == []

    async def test_attempts_before_replay_stay(self, broker: Broker, store: JobStore) -> None:
        """A replayed job begins with attempt 1 again; those before are still shown, also that which ended it."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE)])
        await broker.settle([Failed(lease=await self.claim_one(broker), failure=FAILURE, retain_for=600)])
        before = (await self.known(store)).attempts
        assert await store.retry_job("a", queue="q")
        assert (await self.known(store)).attempts == before
        await broker.settle([Completed(lease=await self.claim_one(broker), result=b"1", retain_for=600)])
        assert await self.attempts(store) == [
            (1, AttemptOutcome.RETRIED),
            (2, AttemptOutcome.FAILED),
            (1, AttemptOutcome.COMPLETED),
        ]

    async def test_attempts_of_new_job_with_used_id_are_its_own(self, broker: Broker, store: JobStore) -> None:
        """A job that reuses the id of an ended one does not inherit attempts."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0, failure=FAILURE)])
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        await broker.enqueue([self.job("a")])
        assert (await self.known(store)).attempts == ()
        await self.claim_one(broker)
        assert (await self.known(store)).attempts == ()
