"""Checks what a broker counts: attempts, hand-backs and crashes, and that only a start uses up `expires`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from aioq.model.job import Completed, HandedBack, Lease, Released, Retried, Settled, Settlement
from aioq.protocols import Broker, JobStore
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["AttemptContract"]

STARTS: dict[str, Callable[[Lease], Settlement]] = {
    "retried": lambda lease: Retried(lease=lease, delay=0, failure=FAILURE),
    "released after a start": lambda lease: Released(lease=lease, started=True),
}
"""Settlements that tell the broker of a start, and leave the job in its queue."""

NO_STARTS: dict[str, Callable[[Lease], Settlement]] = {
    "released": lambda lease: Released(lease=lease),
    "postponed": lambda lease: Released(lease=lease, delay=0.001),
    "handed back": lambda lease: HandedBack(lease=lease, delay=0.001, failure=FAILURE),
}
"""Settlements of a job that was not started."""


class AttemptContract(BrokerSuite):
    """Tests of what is counted; a part of the suite for `aioq.protocols.Broker`."""

    async def test_settle_hand_back_counts_neither_attempt_nor_crash(self, broker: Broker) -> None:
        """A job that is handed back is due after the delay; the attempt is taken off, and the hand-back is counted."""
        await broker.enqueue([self.job("a")])
        handed_back = HandedBack(lease=await self.claim_one(broker), delay=self.tick * 2, failure=FAILURE)
        assert await broker.settle([handed_back]) == [Settled.DONE]
        assert await broker.settle([handed_back]) == [Settled.ALREADY]
        assert await self.claim(broker) == []
        await self.pass_time(self.tick * 2.5)
        again = await self.claim_one(broker)
        assert (again.epoch, again.attempt, again.crashes, again.hand_backs) == (2, 1, 0, 1)
        assert await broker.settle([handed_back]) == [Settled.STALE]

    async def test_hand_backs_use_up_no_attempt_and_attempts_no_hand_back(self, broker: Broker) -> None:
        """Hand-backs and failed attempts of one job are counted apart, in any order."""
        await broker.enqueue([self.job("a")])
        counts: list[tuple[int, int]] = []
        for letter in "hhrhhhr":
            lease = await self._next(broker)
            counts.append((lease.attempt, lease.hand_backs))
            outcome = HandedBack(lease=lease, delay=0) if letter == "h" else Retried(lease=lease, delay=0)
            assert await broker.settle([outcome]) == [Settled.DONE]
        # The job's hand-backs are counted anew after each start.
        assert counts == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3)]
        assert ((last := await self._next(broker)).attempt, last.hand_backs) == (3, 0)

    async def test_hand_backs_of_released_job_are_kept_unless_it_was_started(self, broker: Broker) -> None:
        """A release without a start keeps the count of hand-backs, and one after a start sets it to 0."""
        await broker.enqueue([self.job("a")])
        await broker.settle([HandedBack(lease=await self.claim_one(broker), delay=0)])
        await broker.settle([Released(lease=await self._next(broker))])
        await broker.settle([Released(lease=(second := await self._next(broker)), started=True)])
        assert (second.hand_backs, (await self._next(broker)).hand_backs) == (1, 0)

    async def test_hand_backs_of_crashed_job_begin_anew(self, broker: Broker) -> None:
        """A crash counts as a start."""
        await broker.enqueue([self.job("a", expires=1000)])
        await broker.settle([HandedBack(lease=await self.claim_one(broker), delay=0)])
        await self.pass_time(self.tick / 10)
        assert (await self.claim_one(broker, lease=self.tick)).hand_backs == 1
        await self.pass_time(self.tick * 1.5)
        await broker.reap(["q"])
        again = await self.claim_one(broker)
        assert (again.hand_backs, again.crashes, again.attempt, again.expires_at) == (0, 1, 2, None)

    async def test_hand_back_is_in_the_record(self, broker: Broker) -> None:
        """The record of a job that was handed back has the number and the reason."""
        if not isinstance(broker, JobStore):
            pytest.skip("a broker that is not a JobStore has no records")
        await broker.enqueue([self.job("a")])
        await broker.settle([HandedBack(lease=await self.claim_one(broker), delay=600, failure=FAILURE)])
        record = await broker.get_job("a", queue="q")
        assert record is not None
        assert (record.hand_backs, record.attempt, record.failure) == (1, 0, FAILURE)

    @pytest.mark.parametrize("how", NO_STARTS)
    async def test_expires_stays_in_force_without_a_start(self, broker: Broker, how: str) -> None:
        """The lease after a release or a hand-back has the same latest start as the first."""
        await broker.enqueue([self.job("a", expires=1000)])
        first = await self.claim_one(broker)
        await broker.settle([NO_STARTS[how](first)])
        assert first.expires_at is not None
        assert (await self._next(broker)).expires_at == first.expires_at

    @pytest.mark.parametrize("how", STARTS)
    async def test_expires_is_used_up_by_a_start(self, broker: Broker, how: str) -> None:
        """Leases after a start have no latest start, also if the job is released without a start afterwards."""
        await broker.enqueue([self.job("a", expires=1000)])
        await broker.settle([STARTS[how](await self.claim_one(broker))])
        second = await self._next(broker)
        await broker.settle([Released(lease=second)])
        assert (second.expires_at, (await self._next(broker)).expires_at) == (None, None)

    async def test_expires_does_not_apply_to_replay(self, broker: Broker) -> None:
        """A job that was cancelled before its start, and replayed, is run however late it is."""
        if not isinstance(broker, JobStore):
            pytest.skip("a broker that is not a JobStore replays nothing")
        await broker.enqueue([self.job("a", expires=1000)])
        await broker.cancel_job("a", queue="q")
        assert await broker.retry_job("a", queue="q")
        assert (await self.claim_one(broker)).expires_at is None

    async def test_settle_by_another_worker_of_the_same_epoch_is_stale(self, broker: Broker) -> None:
        """If a failover lost a claim, two workers have one epoch: only the recorded one can extend and settle."""
        await broker.enqueue([self.job("a")])
        held = await self.claim_one(broker, worker="w2")
        lost = structs.replace(held, worker_id="w1")
        assert await broker.extend([lost, held], seconds=60) == [lost]
        assert await broker.settle([Completed(lease=lost, retain_for=60)]) == [Settled.STALE]
        assert await broker.settle([Completed(lease=lost), Completed(lease=held, retain_for=60)]) == [
            Settled.STALE,
            Settled.DONE,
        ]
        assert await broker.settle([Completed(lease=lost)]) == [Settled.STALE]

    async def test_settle_after_replay_by_the_worker_of_the_run_before_is_already_done(self, broker: Broker) -> None:
        """A replay does not forget which worker settled the run before it."""
        if not isinstance(broker, JobStore):
            pytest.skip("a broker that is not a JobStore replays nothing")
        await broker.enqueue([self.job("a")])
        handed_back = HandedBack(lease=await self.claim_one(broker, worker="w1"), delay=600)
        await broker.settle([handed_back])
        await broker.cancel_job("a", queue="q")
        assert await broker.retry_job("a", queue="q")
        other = structs.replace(handed_back.lease, worker_id="w2")
        assert await broker.settle([handed_back]) == [Settled.ALREADY]
        assert await broker.settle([HandedBack(lease=other, delay=0)]) == [Settled.STALE]

    async def _next(self, broker: Broker) -> Lease:
        """Claim the job after a settlement with a delay of a millisecond at most."""
        await self.pass_time(self.tick / 10)
        return await self.claim_one(broker)
