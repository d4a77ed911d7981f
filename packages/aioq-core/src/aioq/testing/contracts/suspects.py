"""Tests how a broker finds the job that crashes its workers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aioq.model.job import Claim, Completed, Lease, Reaped, Released, Retried
from aioq.model.states import JobState
from aioq.model.suspects import MAX_EXCUSED, MAX_SEARCHED, STEPS, TURN
from aioq.protocols import Broker
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["SuspectContract"]


class SuspectContract(BrokerSuite):
    """The suite for a broker that finds poison jobs, as `aioq.model.suspects` says. A broker need not.

    Subclass it together with `BrokerContract`. It is skipped unless the broker states `finds_poison_jobs = True`.
    """

    @pytest.fixture(autouse=True)
    def _only_if_stated(self, request: pytest.FixtureRequest, broker: Broker) -> None:
        """Skip the tests of this suite if the broker does not state that it finds poison jobs."""
        if hasattr(SuspectContract, request.function.__name__):
            skip_unless_stated(broker)

    async def test_claim_observed_jobs_in_parts(self, broker: Broker) -> None:
        """A claim takes a part of the jobs that crashed once, in front of others and whatever their priority."""
        await self._crash_together(broker, [f"o{n}" for n in range(STEPS + 1)])
        await broker.enqueue([self.job("high", priority=9), self.job("b")])
        claim = await broker.claim(self.request())
        assert [lease.crashes for lease in claim.leases] == [1, 1, 0, 0]
        assert (_ids(claim)[2:], claim.alone_for) == (["high", "b"], 0)
        assert all(lease.probation > 0 for lease in claim.leases[:2])
        assert [lease.probation for lease in claim.leases[2:]] == [0, 0]
        assert len(await self.claim(broker, worker="w2")) == 1

    async def test_claim_many_observed_jobs_at_once(self, broker: Broker) -> None:
        """If more jobs crashed once than a search is worth, a claim takes all of them."""
        await self._crash_together(broker, [f"o{n}" for n in range(MAX_SEARCHED + 1)])
        claim = await broker.claim(self.request(MAX_SEARCHED + 1))
        assert [lease.crashes for lease in claim.leases] == [1] * (MAX_SEARCHED + 1)

    async def test_claim_worker_that_does_not_observe_gets_none(self, broker: Broker) -> None:
        """A worker that lets time pass after its latest part gets other jobs."""
        await self._crash_together(broker, ["a", "b"])
        await broker.enqueue([self.job("c")])
        assert _ids(await broker.claim(self.request(observes=False))) == ["c"]
        assert _ids(await broker.claim(self.request(worker="w2", running=1))) == ["a"]

    async def test_claim_job_that_had_run_for_long_comes_last(self, broker: Broker) -> None:
        """Of jobs that crashed together, the one that had run for the shortest time goes first."""
        (a,) = await self._leased(broker, "a")
        await self.pass_time(self.tick)
        (b,) = await self._leased(broker, "b")
        await broker.extend([a, b], seconds=self.tick)
        await self._crash(broker)
        assert [_ids(await broker.claim(self.request(1)))[0] for _ in "ab"] == ["b", "a"]

    async def test_claim_suspect_alone(self, broker: Broker) -> None:
        """An empty worker gets a job with two crashes first, and nothing with it."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", priority=9), self.job("c")])
        request = self.request()
        claim = await broker.claim(request)
        assert [(lease.job_id, lease.crashes) for lease in claim.leases] == [("a", 2)]
        assert claim.alone_for == claim.leases[0].probation > 0
        repeated = await broker.claim(request)
        assert (repeated.leases, repeated.alone_for) == (claim.leases, claim.alone_for)
        others = await broker.claim(self.request(worker="w2"))
        assert (_ids(others), others.alone_for) == (["b", "c"], 0)

    async def test_claim_suspects_by_several_workers(self, broker: Broker) -> None:
        """Several empty workers run one suspect each; the one that was claimed last goes first."""
        for _ in range(2):
            for id in "ab":
                await self._leased(broker, id)
                await self.pass_time(self.tick / 20)
            await self._crash(broker)
        claims = [await broker.claim(self.request(worker=worker)) for worker in ("w1", "w2")]
        assert [_ids(claim) for claim in claims] == [["b"], ["a"]]
        assert all(claim.alone_for for claim in claims)

    async def test_claim_one_busy_worker_makes_room(self, broker: Broker) -> None:
        """One busy worker at a time is told to make room; the others go on, and the suspect waits for an empty one."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job(id) for id in "bcd"])
        first = await broker.claim(self.request(1, running=1))
        assert first.leases == []
        assert first.alone_for > 0
        others = [await broker.claim(self.request(1, worker=worker, running=1)) for worker in ("w2", "w3")]
        assert [(_ids(claim), claim.alone_for) for claim in others] == [(["b"], 0), (["c"], 0)]
        assert (await broker.claim(self.request(1, running=1))).alone_for > 0
        assert _ids(await broker.claim(self.request(worker="w4"))) == ["a"]
        assert _ids(await broker.claim(self.request(1, running=1))) == ["d"]

    async def test_claim_turn_to_make_room_passes(self, broker: Broker) -> None:
        """After its turn a worker goes on, and another one makes room."""
        lease = self.tick / 2
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job(id) for id in "bc"])
        assert (await broker.claim(self.request(1, running=1, lease=lease))).alone_for > 0
        await self.pass_time(TURN * lease)
        assert _ids(await broker.claim(self.request(1, running=1))) == ["b"]
        second = await broker.claim(self.request(1, worker="w2", running=1))
        assert second.leases == []
        assert second.alone_for > 0

    async def test_claim_several_queues_takes_no_suspect_beside_job(self, broker: Broker) -> None:
        """A claim of several queues takes no suspect beside another job."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", queue="first")])
        assert _ids(await broker.claim(self.request(queues=("first", "q")))) == ["b"]

    async def test_claim_released_or_retried_suspect_stays_suspect(self, broker: Broker) -> None:
        """A suspect that was released or retried runs alone again."""
        await self.crash(broker, "a", 2)
        for end in (Released, Retried):
            (lease,) = await self.claim(broker)
            await broker.settle([end(lease=lease, delay=0)])
            await broker.enqueue([self.job(f"beside-{end.__name__}", priority=0)])
            busy = await broker.claim(self.request(limit=1, worker="w2", running=1))
            assert "a" not in _ids(busy)
        claim = await broker.claim(self.request(worker="w3"))
        assert (_ids(claim), claim.alone_for > 0) == (["a"], True)

    async def test_reap_jobs_that_ran_together_leaves_none_dead(self, broker: Broker) -> None:
        """A crash of several jobs makes none of them dead, whatever their limits."""
        jobs = [self.job(id, max_crashes=crashes) for id, crashes in (("a", 1), ("b", 2), ("c", 3))]
        await broker.enqueue(jobs)
        assert len(await self.claim(broker, lease=self.tick)) == 3
        assert {reaped.state for reaped in await self._crash(broker)} == {JobState.PENDING}

    async def test_reap_suspect_alone_is_dead(self, broker: Broker) -> None:
        """A job that crashed twice beside others and then alone is dead at its third crash; the others complete."""
        await broker.enqueue([self.job("a"), self.job("b")])
        for _ in range(2):
            while await self.claim(broker, lease=self.tick):
                pass
            await self._crash(broker)
        alone = await broker.claim(self.request(lease=self.tick))
        (reaped,) = await self._crash(broker)
        assert (reaped.job_id, reaped.crashes, reaped.state) == (_ids(alone)[0], 3, JobState.DEAD)
        assert len(await self.claim(broker)) == 1

    async def test_reap_job_of_worker_with_one_slot_ran_alone(self, broker: Broker) -> None:
        """The only job of a worker that claims one runs alone from its first start."""
        await broker.enqueue([self.job("a", max_crashes=1)])
        await self.claim_one(broker, lease=self.tick)
        assert [reaped.state for reaped in await self._crash(broker)] == [JobState.DEAD]

    async def test_reap_cleared_job_counts_no_crash(self, broker: Broker) -> None:
        """A job that has run for longer than at its crash gets no further crash, and needs twice as long next time."""
        lease = self.tick * 3
        (first,) = await self._leased(broker, "a", lease=lease)
        await self._crash(broker, after=lease)
        (again,) = await self.claim(broker, lease=lease)
        assert (first.probation, again.crashes) == (0, 1)
        await self.pass_time(again.probation + self.tick / 10)
        await broker.extend([again], seconds=lease)
        (reaped,) = await self._crash(broker, after=lease)
        assert (reaped.crashes, reaped.state) == (1, JobState.PENDING)
        (third,) = await self.claim(broker, lease=lease)
        assert third.probation >= 2 * again.probation
        await self._crash(broker, after=lease)
        assert [lease.crashes for lease in await self.claim(broker)] == [2]

    async def test_reap_crash_of_other_worker_excuses_job(self, broker: Broker) -> None:
        """While other workers crash, too, a job that crashes alone is dead only after some crashes more."""
        await broker.enqueue([self.job("b", max_crashes=99)])
        for n in range(MAX_EXCUSED + 4):
            await self.claim(broker, 1, worker=f"b{n}", lease=self.tick)
            await self._crash(broker)
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        await broker.enqueue([self.job("a")])
        states: list[JobState] = []
        for n in range(MAX_EXCUSED + 3):
            await self.claim(broker, 1, worker=f"a{n}", lease=self.tick)
            states += [reaped.state for reaped in await self._crash(broker)]
        assert states == [JobState.PENDING] * (MAX_EXCUSED + 2) + [JobState.DEAD]

    async def _leased(self, broker: Broker, id: str, *, lease: float = 0.0) -> list[Lease]:
        """Enqueue a job unless it is known, and claim one job for a worker that has room for more."""
        await broker.enqueue([self.job(id, max_crashes=99)])
        request = self.request(2, worker=f"of-{id}", lease=lease or self.tick)
        leases = (await broker.claim(request)).leases
        assert [each.job_id for each in leases] == [id]
        return leases

    async def _crash_together(self, broker: Broker, ids: Sequence[str]) -> None:
        """Let one worker crash with these jobs."""
        await broker.enqueue([self.job(id, max_crashes=99) for id in ids])
        assert len(await self.claim(broker, len(ids), worker="gone", lease=self.tick)) == len(ids)
        await self._crash(broker)

    async def _crash(self, broker: Broker, *, after: float = 0.0) -> list[Reaped]:
        """Let all leases run out, and reap them."""
        after = after or self.tick
        # The sign of life of a worker with long leases: the time that passes is no outage.
        await broker.reap(["q"], lease=3600)
        await self.pass_time(after * 1.5)
        return await broker.reap(["q"], lease=after)


def skip_unless_stated(broker: Broker) -> None:
    """Skip the current test if the broker does not state that it finds poison jobs."""
    if not getattr(broker, "finds_poison_jobs", False):
        pytest.skip("the broker does not state finds_poison_jobs = True")


def _ids(claim: Claim) -> list[str]:
    return [lease.job_id for lease in claim.leases]
