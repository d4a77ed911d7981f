"""What every broker must do."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from aioq.errors import JobConflict
from aioq.job import (
    Buried,
    ClaimRequest,
    Completed,
    Expired,
    Failed,
    NewJob,
    Released,
    Retried,
    Settled,
)
from aioq.protocols import Broker, Diagnosable, JobStore, Signals, ThreadedLeases, TickLedger, WorkerRegistry
from aioq.states import JobState
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["BrokerContract"]


class BrokerContract(BrokerSuite):
    """The suite for `aioq.protocols.Broker`.

    Subclass it, give a fixture named `broker` that yields a connected and empty broker, and
    every promise of the protocol is a test. A broker that implements further protocols
    subclasses their suites in the same class.
    """

    async def test_conforms_to_the_protocol(self, broker: Broker) -> None:
        """The object has the methods of `Broker`."""
        assert isinstance(broker, Broker)

    async def test_every_protocol_it_speaks_is_put_to_the_test(self, broker: Broker) -> None:
        """A broker with the methods of an optional protocol runs that protocol's suite too."""
        suites: dict[type, str] = {
            JobStore: "JobStoreContract",
            WorkerRegistry: "WorkerRegistryContract",
            Signals: "SignalsContract",
            ThreadedLeases: "ThreadedLeasesContract",
            TickLedger: "TickLedgerContract",
            Diagnosable: "DiagnosableContract",
        }
        spoken = {suite for protocol, suite in suites.items() if isinstance(broker, protocol)}
        assert spoken <= {suite.__name__ for suite in type(self).__mro__}

    async def test_connect_and_close_may_be_repeated(self, broker: Broker) -> None:
        """Connecting twice and closing twice do no harm, and jobs outlive both."""
        await broker.enqueue([self.job("a")])
        await broker.connect()
        await broker.close()
        await broker.close()
        await broker.connect()
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]

    async def test_the_clock_goes_forward(self, broker: Broker) -> None:
        """`time` is in seconds and advances with time."""
        before = await broker.time()
        await self.pass_time(self.tick)
        assert self.tick * 0.5 <= await broker.time() - before < 30

    # enqueue

    async def test_enqueue_says_which_jobs_are_new(self, broker: Broker) -> None:
        """A repeated id is answered with False and creates no second job."""
        assert await broker.enqueue([self.job("a"), self.job("b")]) == [True, True]
        assert await broker.enqueue([self.job("b"), self.job("c")]) == [False, True]
        assert [lease.job_id for lease in await self.claim(broker)] == ["a", "b", "c"]

    async def test_an_id_repeated_within_one_batch_is_one_job(self, broker: Broker) -> None:
        """The same job twice in one call is stored once."""
        assert await broker.enqueue([self.job("a"), self.job("a")]) == [True, False]
        assert len(await self.claim(broker)) == 1

    async def test_enqueue_of_a_running_job_is_no_new_job(self, broker: Broker) -> None:
        """The id of a claimed job is still known."""
        await broker.enqueue([self.job("a")])
        await self.claim(broker)
        assert await broker.enqueue([self.job("a")]) == [False]
        assert await self.claim(broker) == []

    async def test_another_job_under_a_known_id_is_a_conflict(self, broker: Broker) -> None:
        """Other arguments under a known id are refused, and nothing of the batch is stored."""
        await broker.enqueue([self.job("a", payload=b"1")])
        with pytest.raises(JobConflict, match="job id a is taken"):
            await broker.enqueue([self.job("b"), self.job("a", payload=b"2")])
        assert [lease.payload for lease in await self.claim(broker)] == [b"1"]

    async def test_an_empty_batch_is_fine(self, broker: Broker) -> None:
        """Empty batches are answered with empty lists."""
        assert await broker.enqueue([]) == []
        assert await broker.settle([]) == []
        assert await broker.extend([], seconds=10) == []
        assert await broker.reap([]) == []

    async def test_a_thousand_jobs_in_one_batch(self, broker: Broker) -> None:
        """A large batch is stored whole, and in order."""
        ids = [f"job-{n:04}" for n in range(1000)]
        await broker.enqueue([self.job(id) for id in ids])
        assert [lease.job_id for lease in await self.claim(broker, 2000)] == ids

    async def test_any_payload_survives(self, broker: Broker) -> None:
        """Payloads are bytes, and come back as they went in."""
        payloads = [b"", b"\x00\xff\r\n\n", bytes(range(256)), "ü€".encode(), b"x" * 100_000]
        await broker.enqueue([self.job(str(n), payload=payload) for n, payload in enumerate(payloads)])
        assert [lease.payload for lease in await self.claim(broker)] == payloads

    async def test_an_enqueue_that_was_cut_short_may_be_repeated(self, broker: Broker) -> None:
        """Wherever it was cancelled, and though its jobs have ended meanwhile: each of them runs once."""
        answered: list[int] = []
        for steps in range(12):
            jobs = [self.job(f"{steps}-{n}") for n in range(1 + steps % 2)]

            async def enqueue(steps: int = steps, jobs: list[NewJob] = jobs) -> None:
                await broker.enqueue(jobs)
                answered.append(steps)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(enqueue)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            ran = await self.claim(broker)
            await broker.settle([Completed(lease=lease) for lease in ran])
            if steps not in answered:
                await broker.enqueue(jobs)
                ran += await self.claim(broker)
            assert sorted(lease.job_id for lease in ran) == [job.id for job in jobs]

    # claim

    async def test_claim_of_nothing_is_empty(self, broker: Broker) -> None:
        """An empty queue gives no lease and has no next due time."""
        request = ClaimRequest(worker_id="w", queues=("q",), limit=5, lease=10, request_id="r")
        claim = await broker.claim(request)
        assert (claim.leases, claim.next_due) == ([], None)

    async def test_a_lease_says_all_about_its_job(self, broker: Broker) -> None:
        """The first lease has epoch 1, attempt 1, no crash, and the job's own fields."""
        before = await broker.time()
        await broker.enqueue([self.job("a", task="t.x", payload=b"[1]", priority=7)])
        lease = await self.claim_one(broker)
        assert (lease.job_id, lease.queue, lease.task, lease.payload) == ("a", "q", "t.x", b"[1]")
        assert (lease.epoch, lease.attempt, lease.crashes, lease.priority) == (1, 1, 0, 7)
        assert before - 0.01 <= lease.enqueued_at <= await broker.time()

    async def test_claim_takes_no_more_than_its_limit(self, broker: Broker) -> None:
        """A worker gets as many jobs as it has free slots; the rest stay."""
        await broker.enqueue([self.job(id) for id in "abc"])
        assert [lease.job_id for lease in await self.claim(broker, 2)] == ["a", "b"]
        assert [lease.job_id for lease in await self.claim(broker, 2, worker="w2")] == ["c"]

    async def test_a_higher_priority_goes_first(self, broker: Broker) -> None:
        """9 comes before 0; equal priorities keep their order."""
        await broker.enqueue([self.job(f"{p}{n}", priority=p) for n in "ab" for p in (0, 9, 5)])
        assert [lease.job_id for lease in await self.claim(broker)] == ["9a", "9b", "5a", "5b", "0a", "0b"]

    async def test_only_the_named_queues_are_served(self, broker: Broker) -> None:
        """Queues are served in the order given, and others are left alone."""
        await broker.enqueue([self.job("a", queue="one"), self.job("b", queue="two"), self.job("c", queue="three")])
        assert [lease.job_id for lease in await self.claim(broker, queues=("three", "one"))] == ["c", "a"]

    async def test_a_limit_spans_queues(self, broker: Broker) -> None:
        """Over several queues together no more than the limit is claimed."""
        await broker.enqueue([self.job(f"{queue}{n}", queue=queue) for queue in ("one", "two") for n in "12"])
        assert [lease.job_id for lease in await self.claim(broker, 3, queues=("one", "two"))] == [
            "one1",
            "one2",
            "two1",
        ]

    async def test_repeating_a_request_returns_the_same_leases(self, broker: Broker) -> None:
        """A claim whose answer was lost is repeated without taking further jobs."""
        await broker.enqueue([self.job(id) for id in "abcd"])
        request = ClaimRequest(worker_id="w1", queues=("q",), limit=2, lease=60, request_id="lost")
        first = await broker.claim(request)
        assert (await broker.claim(request)).leases == first.leases
        await broker.settle([Completed(lease=first.leases[0])])
        assert [lease.job_id for lease in (await broker.claim(request)).leases] == ["b"]
        assert [lease.job_id for lease in await self.claim(broker)] == ["c", "d"]

    async def test_workers_share_the_jobs(self, broker: Broker) -> None:
        """Workers that claim at the same time never get the same job."""
        await broker.enqueue([self.job(str(n)) for n in range(40)])
        taken: list[str] = []

        async def work(worker: str) -> None:
            while leases := await self.claim(broker, 3, worker=worker):
                taken.extend(lease.job_id for lease in leases)

        async with anyio.create_task_group() as tg:
            for n in range(4):
                tg.start_soon(work, f"w{n}")
        assert sorted(taken, key=int) == [str(n) for n in range(40)]

    async def test_an_id_that_is_used_again_has_epochs_of_its_own(self, broker: Broker) -> None:
        """A lease of the former job is lost and refused, although the new job's epoch is the same number."""
        await broker.enqueue([self.job("a")])
        former = await self.claim_one(broker)
        await broker.settle([Completed(lease=former)])
        await self.pass_time(self.tick / 10)
        await broker.enqueue([self.job("a", payload=b"new")])
        assert await broker.settle([Completed(lease=former)]) == [Settled.STALE]
        latter = await self.claim_one(broker, worker="w2")
        assert await broker.extend([former, latter], seconds=60) == [former]
        assert await broker.settle([Completed(lease=former)]) == [Settled.STALE]
        assert await broker.settle([Completed(lease=latter)]) == [Settled.DONE]

    # suspects

    async def test_one_crash_makes_no_suspect(self, broker: Broker) -> None:
        """A job that crashed once goes first, with others."""
        await self.crash(broker, "a", 1)
        await broker.enqueue([self.job("b")])
        claim = await broker.claim(self.request())
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a", "b"], False)

    async def test_a_suspect_is_claimed_alone(self, broker: Broker) -> None:
        """A worker that holds nothing gets a job with two crashes, whatever else is due, and nothing with it."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", priority=9), self.job("c")])
        request = self.request()
        claim = await broker.claim(request)
        assert ([(lease.job_id, lease.crashes) for lease in claim.leases], claim.alone) == ([("a", 2)], True)
        repeated = await broker.claim(request)
        assert (repeated.leases, repeated.alone) == (claim.leases, True)
        others = await broker.claim(self.request(worker="w2"))
        assert ([lease.job_id for lease in others.leases], others.alone) == (["b", "c"], False)

    async def test_busy_workers_pass_over_a_suspect_and_one_makes_room(self, broker: Broker) -> None:
        """No worker that holds leases gets it; one is told to become empty, and then does."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job(id) for id in "bc"])
        told: list[str] = []
        for worker in ("w1", "w2"):
            claim = await broker.claim(self.request(worker=worker, running=1))
            assert "a" not in [lease.job_id for lease in claim.leases]
            told += [worker] if claim.alone else []
        assert told
        claim = await broker.claim(self.request(worker=told[0]))
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a"], True)

    async def test_suspects_are_told_apart_one_by_one(self, broker: Broker) -> None:
        """Of several each runs alone, and each has its turn."""
        for id in "ab":
            await broker.enqueue([self.job(id, max_crashes=9)])
        for _ in range(2):
            for worker in ("w1", "w2"):
                await self.claim(broker, 1, worker=worker, lease=self.tick)
            await self.pass_time(self.tick * 1.5)
            await broker.reap(["q"])
        claims = [await broker.claim(self.request(worker=worker)) for worker in ("w1", "w2")]
        assert sorted(lease.job_id for claim in claims for lease in claim.leases) == ["a", "b"]
        assert [(len(claim.leases), claim.alone) for claim in claims] == [(1, True)] * 2

    async def test_what_one_queue_gave_makes_a_worker_busy(self, broker: Broker) -> None:
        """A claim over several queues takes no suspect beside another job."""
        await self.crash(broker, "a", 2)
        await broker.enqueue([self.job("b", queue="first")])
        claim = await broker.claim(self.request(queues=("first", "q")))
        assert [lease.job_id for lease in claim.leases] == ["b"]

    async def test_a_suspect_that_ended_its_attempt_is_still_one(self, broker: Broker) -> None:
        """Released or retried, it runs alone again: its crashes are not forgotten."""
        await self.crash(broker, "a", 2)
        for end in (Released, Retried):
            (lease,) = await self.claim(broker)
            await broker.settle([end(lease=lease, delay=0)])
            await broker.enqueue([self.job(f"beside-{end.__name__}", priority=0)])
            busy = await broker.claim(self.request(limit=1, worker="w2", running=1))
            assert "a" not in [lease.job_id for lease in busy.leases]
        claim = await broker.claim(self.request(worker="w2"))
        assert ([lease.job_id for lease in claim.leases], claim.alone) == (["a"], True)

    # delays

    async def test_a_delayed_job_waits_for_its_time(self, broker: Broker) -> None:
        """A delay hides the job, and `next_due` says for how long."""
        await broker.enqueue([self.job("late", delay=self.tick * 3), self.job("later", delay=600)])
        request = ClaimRequest(worker_id="w", queues=("q",), limit=5, lease=10, request_id="r1")
        claim = await broker.claim(request)
        assert claim.leases == []
        assert claim.next_due is not None
        assert 0 < claim.next_due <= self.tick * 3
        await self.pass_time(self.tick * 3.5)
        assert [lease.job_id for lease in await self.claim(broker)] == ["late"]

    async def test_run_at_is_a_moment_on_the_brokers_clock(self, broker: Broker) -> None:
        """`run_at` overrides the delay; one in the past is due at once."""
        now = await broker.time()
        await broker.enqueue([self.job("past", run_at=now - 100, delay=600), self.job("future", run_at=now + 600)])
        assert [lease.job_id for lease in await self.claim(broker)] == ["past"]

    async def test_a_lease_says_until_when_its_job_may_start(self, broker: Broker) -> None:
        """Until a moment, or so many seconds after it came due; no moment for a job that does not expire."""
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

    async def test_a_delayed_job_keeps_its_priority(self, broker: Broker) -> None:
        """Jobs that come due run by priority like any other."""
        await broker.enqueue(
            [self.job("low", priority=1, delay=self.tick), self.job("high", priority=8, delay=self.tick)]
        )
        await broker.enqueue([self.job("mid", priority=5)])
        await self.pass_time(self.tick * 1.5)
        assert [lease.job_id for lease in await self.claim(broker)] == ["high", "mid", "low"]

    # extend

    async def test_an_extended_lease_is_not_reaped(self, broker: Broker) -> None:
        """Extending counts from now, and keeps the job with its worker."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker, lease=self.tick)
        assert await broker.extend([lease], seconds=600) == []
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["q"]) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]

    async def test_a_lease_that_ran_out_unreaped_can_be_extended(self, broker: Broker) -> None:
        """A worker that was slow keeps the job when nobody took it."""
        lease = await self.expire(broker)
        assert await broker.extend([lease], seconds=60) == []
        assert await broker.reap(["q"]) == []

    async def test_extend_names_the_lost_leases(self, broker: Broker) -> None:
        """Reaped, re-claimed and settled jobs are lost to the older epoch; others are not."""
        lost = await self.expire(broker, "a")
        await broker.reap(["q"])
        assert await broker.extend([lost], seconds=60) == [lost]
        held = await self.claim_one(broker, worker="w2")
        assert await broker.extend([lost, held], seconds=60) == [lost]
        await broker.settle([Completed(lease=held)])
        assert await broker.extend([held], seconds=60) == [held]

    # settle

    async def test_a_completed_job_is_gone(self, broker: Broker) -> None:
        """After its completion nobody can claim, extend or settle the job."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]
        assert await self.claim(broker) == []
        assert await broker.settle([Completed(lease=lease)]) == [Settled.STALE]

    async def test_a_finished_id_without_a_record_is_free_again(self, broker: Broker) -> None:
        """With nothing kept, the id may be used for a new job."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        assert await broker.enqueue([self.job("a", payload=b"other")]) == [True]

    async def test_a_kept_record_blocks_its_id_until_it_expires(self, broker: Broker) -> None:
        """As long as the record of an ended job is kept, its id is known."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Completed(lease=await self.claim_one(broker), result=b"1", keep=self.tick * 3)])
        assert await broker.enqueue([self.job("a")]) == [False]
        await self.pass_time(self.tick * 4)
        assert await broker.enqueue([self.job("a")]) == [True]

    async def test_repeating_a_settlement_changes_nothing(self, broker: Broker) -> None:
        """The same epoch reporting again is told that it had reported already."""
        await broker.enqueue([self.job("a")])
        lease = await self.claim_one(broker)
        settlement = Completed(lease=lease, result=b"1", keep=60)
        assert await broker.settle([settlement]) == [Settled.DONE]
        assert await broker.settle([settlement]) == [Settled.ALREADY]
        assert await broker.settle([Failed(lease=lease, failure=FAILURE, keep=60)]) == [Settled.ALREADY]

    async def test_a_late_settlement_is_refused(self, broker: Broker) -> None:
        """Of two workers that ran the job only the holder of the current epoch settles it."""
        late = await self.expire(broker)
        await broker.reap(["q"])
        holder = await self.claim_one(broker, worker="w2")
        assert (holder.epoch, holder.attempt, holder.crashes) == (2, 2, 1)
        assert await broker.settle([Completed(lease=late, result=b"late", keep=60)]) == [Settled.STALE]
        assert await broker.settle([Completed(lease=holder, result=b"right", keep=60)]) == [Settled.DONE]
        assert await broker.settle([Completed(lease=late, result=b"late", keep=60)]) == [Settled.STALE]

    async def test_a_reaped_lease_cannot_settle_even_before_the_next_claim(self, broker: Broker) -> None:
        """Once reaped, the job is back in line, and its former holder is refused."""
        late = await self.expire(broker)
        await broker.reap(["q"])
        assert await broker.settle([Completed(lease=late)]) != [Settled.DONE]
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]

    async def test_an_expired_lease_that_nobody_reaped_settles(self, broker: Broker) -> None:
        """A worker that finishes late, but before anybody took over, is believed."""
        lease = await self.expire(broker)
        assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]
        assert await broker.reap(["q"]) == []

    async def test_a_retry_comes_back_after_its_delay(self, broker: Broker) -> None:
        """A retried job is due after the delay, with the next attempt and the next epoch."""
        await broker.enqueue([self.job("a")])
        retried = Retried(lease=await self.claim_one(broker), delay=self.tick * 2, failure=FAILURE)
        assert await broker.settle([retried]) == [Settled.DONE]
        assert await self.claim(broker) == []
        assert await broker.settle([retried]) == [Settled.ALREADY]
        await self.pass_time(self.tick * 2.5)
        again = await self.claim_one(broker)
        assert (again.attempt, again.epoch, again.crashes) == (2, 2, 0)
        assert await broker.settle([retried]) == [Settled.STALE]

    async def test_a_retry_without_delay_is_due_at_once(self, broker: Broker) -> None:
        """A delay of 0 s needs no waiting."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Retried(lease=await self.claim_one(broker), delay=0)])
        assert (await self.claim_one(broker)).attempt == 2

    async def test_a_release_gives_the_attempt_back(self, broker: Broker) -> None:
        """A released job is first in line again, and the attempt was never spent."""
        await broker.enqueue([self.job("a"), self.job("b")])
        released = Released(lease=await self.claim_one(broker))
        assert await broker.settle([released]) == [Settled.DONE]
        assert await broker.settle([released]) == [Settled.ALREADY]
        again = await self.claim_one(broker)
        assert (again.job_id, again.attempt, again.epoch) == ("a", 1, 2)

    async def test_a_release_may_be_delayed(self, broker: Broker) -> None:
        """A job released with a delay waits for it."""
        await broker.enqueue([self.job("a")])
        await broker.settle([Released(lease=await self.claim_one(broker), delay=self.tick * 2)])
        assert await self.claim(broker) == []
        await self.pass_time(self.tick * 2.5)
        assert (await self.claim_one(broker)).attempt == 1

    async def test_one_batch_settles_each_job_on_its_own(self, broker: Broker) -> None:
        """In a mixed batch over two queues each settlement gets its own answer."""
        await broker.enqueue([self.job(id) for id in "abcdef"])
        await broker.enqueue([self.job("g", queue="other")])
        a, b, c, d, e, f, g = await self.claim(broker, queues=("q", "other"))
        await broker.settle([Completed(lease=e)])
        settled = await broker.settle(
            [
                Completed(lease=g),
                Completed(lease=a),
                Retried(lease=b, delay=600),
                Completed(lease=e),
                Released(lease=c),
                Buried(lease=d, reason="unknown_task"),
                Expired(lease=f, failure=FAILURE),
            ]
        )
        assert settled == [Settled.DONE] * 3 + [Settled.STALE] + [Settled.DONE] * 3
        assert [lease.job_id for lease in await self.claim(broker, queues=("q", "other"))] == ["c"]

    # reap

    async def test_live_leases_are_not_reaped(self, broker: Broker) -> None:
        """Reaping takes only what has run out."""
        await broker.enqueue([self.job("a")])
        await self.claim(broker)
        assert await broker.reap(["q"]) == []

    async def test_an_expired_lease_returns_the_job_to_the_front(self, broker: Broker) -> None:
        """The job of a worker that vanished is the next to run, once."""
        await self.expire(broker, "a")
        await broker.enqueue([self.job("b")])
        (reaped,) = await broker.reap(["q"])
        assert (reaped.job_id, reaped.queue, reaped.crashes, reaped.state) == ("a", "q", 1, JobState.PENDING)
        assert await broker.reap(["q"]) == []
        assert [lease.job_id for lease in await self.claim(broker)] == ["a", "b"]

    async def test_a_job_that_crashes_too_often_is_dead(self, broker: Broker) -> None:
        """At `max_crashes` the job is not run again."""
        await broker.enqueue([self.job("a", max_crashes=2)])
        states: list[JobState] = []
        for _ in range(2):
            await self.claim_one(broker, lease=self.tick)
            await self.pass_time(self.tick * 1.5)
            states += [reaped.state for reaped in await broker.reap(["q"])]
        assert states == [JobState.PENDING, JobState.DEAD]
        assert await self.claim(broker) == []

    async def test_reaping_is_bounded_and_by_queue(self, broker: Broker) -> None:
        """No more than `limit` jobs are reaped, and only of the queues named."""
        await broker.enqueue([self.job(id) for id in "abc"])
        await self.claim(broker, lease=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert await broker.reap(["other"]) == []
        assert [len(await broker.reap(["q"], limit=2)) for _ in range(3)] == [2, 1, 0]
