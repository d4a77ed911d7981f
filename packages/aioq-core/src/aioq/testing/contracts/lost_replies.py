"""Tests that each call can be repeated after its answer was lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
import pytest

from aioq.conformance import supports
from aioq.errors import BrokerUnavailable
from aioq.model.cron import TickClaim, TickOutcome, TickReply
from aioq.model.job import Claim, ClaimRequest, Completed, Lease, Reaped, Released, Retried, Settled
from aioq.model.states import JobState
from aioq.protocols import Broker, JobStore, TickLedger
from aioq.testing.contracts.suite import BrokerSuite
from aioq.testing.faults import Faults

__all__ = ["LostReplyContract"]

N = TypeVar("N")
A = TypeVar("A")

MOST_REPLIES = 30
"""Replies of the store that a call of a broker may take."""

REPETITIONS = 10
"""How often a call is repeated until it succeeds."""


class LostReplyContract(BrokerSuite):
    """A call whose answer was lost is done once, whichever of the store's replies it was."""

    timeout = 5.0
    """Seconds within which a call of the fixture `broker` raises `BrokerUnavailable` if its store does not answer."""

    @pytest.fixture
    def faults(self) -> Faults:
        """What causes faults between the fixture `broker` and its store, and none between `peer` and the store."""
        raise NotImplementedError(f"{type(self).__name__} must define a fixture named faults")

    async def repeated(self, call: Callable[[], Awaitable[A]], *, patience: float | None = None) -> A:
        """Make a call until it succeeds, and return its answer; each try has twice the timeout, or `patience`."""
        for _ in range(REPETITIONS):
            try:
                with anyio.fail_after(self.timeout * 2 + 1 if patience is None else patience):
                    return await call()
            except BrokerUnavailable:
                await anyio.sleep(self.tick / 4)
        pytest.fail(f"the broker was unavailable {REPETITIONS} times, and its store was not")

    async def once(
        self,
        faults: Faults,
        prepare: Callable[[str], Awaitable[N]],
        call: Callable[[N], Awaitable[A]],
        check: Callable[[N, A], Awaitable[None]],
    ) -> None:
        """Lose each reply of a call in turn, repeat the call until it succeeds, and check what it did."""
        for skip in range(MOST_REPLIES):
            needed = await prepare(f"job-{skip}")
            before = faults.lost
            faults.lose_reply(skip)
            answer = await self.repeated(lambda needed=needed: call(needed))  # type: ignore[misc]
            lost = faults.lost > before
            faults.recover()
            await check(needed, answer)
            if not lost:
                assert skip, "no reply of the store passes the fixture faults"
                return
        pytest.fail(f"a call takes more than {MOST_REPLIES} replies of the store")

    async def test_enqueue_with_lost_reply_stores_one_job(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """The repeated call stores no second job."""

        async def prepare(id: str) -> str:
            return id

        async def check(id: str, is_new: list[bool]) -> None:
            assert len(is_new) == 1
            lease = await self._only(peer)
            assert (lease.job_id, lease.epoch) == (id, 1)
            await peer.settle([Completed(lease=lease)])

        await self.once(faults, prepare, lambda id: broker.enqueue([self.job(id)]), check)

    async def test_claim_with_lost_reply_leases_job_once(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """The repeated request gets the leases of the first one, and no others."""

        async def prepare(id: str) -> ClaimRequest:
            await peer.enqueue([self.job(id), self.job(f"{id}-next")])
            return self.request(1)

        async def check(request: ClaimRequest, claim: Claim) -> None:
            assert [(lease.job_id.endswith("-next"), lease.epoch) for lease in claim.leases] == [(False, 1)]
            second = await self._only(peer)
            assert second.job_id == f"{claim.leases[0].job_id}-next"
            await peer.settle([Completed(lease=lease) for lease in (*claim.leases, second)])

        await self.once(faults, prepare, broker.claim, check)

    async def test_extend_with_lost_reply_keeps_lease(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """The repeated call answers that the lease is held."""

        async def check(lease: Lease, lost: list[Lease]) -> None:
            assert lost == []
            assert await peer.settle([Completed(lease=lease)]) == [Settled.DONE]

        await self.once(faults, partial(self._leased, peer), lambda lease: broker.extend([lease], seconds=60), check)

    async def test_settle_with_lost_reply_is_done_once(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """The repeated settlement changes nothing: a released job has got its attempt back once."""

        async def check(lease: Lease, answer: list[Settled]) -> None:
            assert answer in ([Settled.DONE], [Settled.ALREADY])
            again = await self._only(peer)
            assert (again.job_id, again.epoch, again.attempt) == (lease.job_id, 2, 1)
            await peer.settle([Completed(lease=again)])

        await self.once(
            faults, partial(self._leased, peer), lambda lease: broker.settle([Released(lease=lease)]), check
        )

    async def test_reap_with_lost_reply_counts_one_crash(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """The repeated call reaps nothing again."""

        async def prepare(id: str) -> Lease:
            return await self.expire(peer, id)

        async def check(lease: Lease, _: list[Reaped]) -> None:
            again = await self._only(peer)
            assert (again.job_id, again.epoch, again.crashes) == (lease.job_id, 2, 1)
            await peer.settle([Completed(lease=again)])

        await self.once(faults, prepare, lambda _: broker.reap(["q"]), check)

    async def test_cancel_and_replay_with_lost_reply_are_done_once(
        self, broker: Broker, peer: Broker, faults: Faults
    ) -> None:
        """The repeated calls find the job cancelled, in its queue, and brought forward."""
        store, seen = broker, peer
        if not supports(store, JobStore) or not supports(seen, JobStore):
            pytest.skip("a broker that is not a JobStore cancels nothing")

        async def prepare(id: str) -> str:
            await peer.enqueue([self.job(id)])
            return id

        async def check_cancelled(id: str, _: bool) -> None:
            record = await seen.get_job(id, queue="q")
            assert record is not None
            assert record.state is JobState.CANCELLED

        async def prepare_cancelled(id: str) -> str:
            await prepare(f"{id}-replayed")
            await seen.cancel_job(f"{id}-replayed", queue="q")
            return f"{id}-replayed"

        async def check_replayed(id: str, _: bool) -> None:
            lease = await self._only(peer)
            assert (lease.job_id, lease.attempt) == (id, 1)
            await peer.settle([Completed(lease=lease)])

        async def prepare_retrying(id: str) -> str:
            await prepare(f"{id}-forward")
            lease = await self._only(peer)
            await peer.settle([Retried(lease=lease, delay=600)])
            return lease.job_id

        async def check_forward(id: str, _: bool) -> None:
            lease = await self._only(peer)
            assert (lease.job_id, lease.attempt) == (id, 2)
            await peer.settle([Completed(lease=lease)])

        await self.once(faults, prepare, lambda id: store.cancel_job(id, queue="q"), check_cancelled)
        await self.once(faults, prepare_cancelled, lambda id: store.retry_job(id, queue="q"), check_replayed)
        await self.once(faults, prepare_retrying, lambda id: store.retry_job(id, queue="q"), check_forward)

    async def test_claim_tick_with_lost_reply_is_won_once(self, broker: Broker, peer: Broker, faults: Faults) -> None:
        """The repeated claim is won like the first one, and there is one job."""
        ledger = broker
        if not supports(ledger, TickLedger):
            pytest.skip("a broker that is no TickLedger has no ticks")

        async def prepare(id: str) -> TickClaim:
            tick, job = round(await peer.time(), 3), self.job("template", payload=b"[1]")
            return TickClaim(
                name=f"report-{id}", queue="q", ticks=(tick,), fingerprint="f", worker_id="w1", request_id=id, job=job
            )

        async def check(claim: TickClaim, reply: TickReply) -> None:
            assert (reply.outcome, reply.won) == (TickOutcome.WON, claim.ticks)
            lease = await self._only(peer)
            await peer.settle([Completed(lease=lease)])

        await self.once(faults, prepare, ledger.claim_tick, check)

    async def test_enqueue_with_lost_reply_does_not_run_twice(
        self, broker: Broker, peer: Broker, faults: Faults
    ) -> None:
        """The same object repeats the call after the job has run and left no record: it is not run again."""
        if getattr(peer, "in_process", False):
            pytest.skip("the answers of an in-process broker cannot get lost")
        for skip in range(MOST_REPLIES):
            job, before = self.job(f"job-{skip}"), faults.lost
            faults.lose_reply(skip)
            runs = 0
            try:
                await broker.enqueue([job])
            except BrokerUnavailable:
                runs += await self._run_all(peer)
                await self.repeated(lambda job=job: broker.enqueue([job]))  # type: ignore[misc]
            lost = faults.lost > before
            faults.recover()
            assert runs + await self._run_all(peer) == 1
            if not lost:
                return

    async def _run_all(self, peer: Broker) -> int:
        """Complete all jobs without a record, and return their number."""
        leases = await self.claim(peer, worker="w2")
        await peer.settle([Completed(lease=lease) for lease in leases])
        return len(leases)

    async def _only(self, peer: Broker) -> Lease:
        """Claim the only job that is due."""
        leases = await self.claim(peer, worker="w2")
        assert len(leases) == 1
        return leases[0]

    async def _leased(self, peer: Broker, id: str) -> Lease:
        await peer.enqueue([self.job(id)])
        return await self.claim_one(peer)
