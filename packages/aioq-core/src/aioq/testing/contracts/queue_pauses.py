"""Tests that a paused queue gives no job away, and that nothing else changes."""

from __future__ import annotations

import anyio
import pytest

from aioq.conformance import supports
from aioq.model.job import Claim, Completed, Released, Settled
from aioq.model.states import JobState
from aioq.model.stops import MAX_AUTHOR, MAX_NOTE, Stop
from aioq.protocols import Broker, QueueControl, Signals
from aioq.testing.contracts.control_suite import ControlSuite
from aioq.testing.contracts.suite import LONG

__all__ = ["QueuePauseContract"]


class QueuePauseContract(ControlSuite):
    """Pauses of queues."""

    async def test_pause_queue_claims_take_nothing_until_resumed(self, broker: Broker, control: QueueControl) -> None:
        """A claim of a paused queue takes no job and names the queue; after the resume it takes them in order."""
        await broker.enqueue([self.job("b"), self.job("a", priority=9)])
        await self.pause(control)
        await broker.enqueue([self.job("c")])
        claim = await broker.claim(self.request())
        assert (claim.leases, claim.paused, claim.next_due) == ([], ("q",), None)
        assert await control.resume_queue("q")
        claim = await broker.claim(self.request())
        assert ([lease.job_id for lease in claim.leases], claim.paused) == (["a", "b", "c"], ())

    async def test_pause_queue_lone_job_is_not_claimed(self, broker: Broker, control: QueueControl) -> None:
        """The only job of a paused queue is not claimed either, by a worker with one slot or several."""
        await self.pause(control)
        await broker.enqueue([self.job("a")])
        assert [await self.ids(broker, limit) for limit in (1, 5)] == ["", ""]

    async def test_pause_queue_other_queues_go_on(self, broker: Broker, control: QueueControl) -> None:
        """A worker of several queues gets the jobs of those that are not paused."""
        await broker.enqueue([self.job(id, queue=queue) for id, queue in zip("abc", "pqr", strict=True)])
        await self.pause(control)
        claim = await broker.claim(self.request(queues=("p", "q", "r")))
        assert ([lease.job_id for lease in claim.leases], claim.paused) == (["a", "c"], ("q",))

    async def test_pause_queue_counts_in_other_processes(
        self, broker: Broker, control: QueueControl, peer: Broker
    ) -> None:
        """A pause counts for claims of every process, also for one that has claimed before."""
        await peer.enqueue([self.job("a"), self.job("b")])
        assert await self.ids(peer, 1) == "a"
        await self.pause(control)
        assert await self.ids(peer) == ""
        assert await control.resume_queue("q")
        assert await self.ids(peer) == "b"

    async def test_pause_queue_running_jobs_go_on(self, broker: Broker, control: QueueControl) -> None:
        """A job that was claimed before the pause is extended and settled, and waits if it is released."""
        await broker.enqueue([self.job("a"), self.job("b")])
        a, b = await self.claim(broker)
        await self.pause(control)
        assert await broker.extend([a, b], seconds=60) == []
        assert await broker.settle([Completed(lease=a), Released(lease=b)]) == [Settled.DONE] * 2
        assert await self.ids(broker) == ""
        assert await control.resume_queue("q")
        assert await self.ids(broker) == "b"

    async def test_pause_queue_repeated_claim_gets_its_leases(self, broker: Broker, control: QueueControl) -> None:
        """The answer to a claim from before the pause may have been lost: repeated, it returns the same leases."""
        await broker.enqueue([self.job("a"), self.job("b")])
        request = self.request(1)
        first = await broker.claim(request)
        await self.pause(control)
        assert (await broker.claim(request)).leases == first.leases
        assert await self.ids(broker) == ""

    async def test_pause_queue_expired_leases_are_reaped(self, broker: Broker, control: QueueControl) -> None:
        """The jobs of a crashed worker return to a paused queue, and wait there."""
        await self.expire(broker)
        await self.pause(control)
        assert [reaped.job_id for reaped in await broker.reap(["q"])] == ["a"]
        assert await self.ids(broker) == ""
        assert await control.resume_queue("q")
        assert await self.ids(broker) == "a"

    async def test_pause_queue_due_jobs_wait(self, broker: Broker, control: QueueControl) -> None:
        """A job that comes due in a paused queue is not claimed, and is first after the resume."""
        await self.pause(control)
        await broker.enqueue([self.job("a", delay=self.tick)])
        assert (await broker.claim(self.request())).next_due is None
        await self.pass_time(self.tick * 1.5)
        assert await self.ids(broker) == ""
        await broker.enqueue([self.job("b")])
        assert await control.resume_queue("q")
        assert await self.ids(broker) == "ab"

    async def test_pause_queue_jobs_are_seen_and_changed(self, broker: Broker, control: QueueControl) -> None:
        """Jobs of a paused queue are listed and counted as `pending`, and can be cancelled and replayed."""
        store = self.store_of(broker)
        await self.pause(control)
        await broker.enqueue([self.job(id) for id in "abc"])
        assert await store.cancel_job("b", queue="q")
        assert [job.id for job in await store.list_jobs("q", JobState.PENDING)] == ["a", "c"]
        assert await store.retry_job("b", queue="q")
        assert [stats.pending for stats in await store.queue_stats() if stats.queue == "q"] == [3]
        assert await control.resume_queue("q")
        assert await self.ids(broker) == "acb"

    async def test_pause_queue_twice_keeps_time_and_replaces_note(self, broker: Broker, control: QueueControl) -> None:
        """A second pause gives the pause a new note and author; it has been in force since the first one."""
        before = await broker.time()
        await self.pause(control)
        after = await broker.time()
        await self.pass_time(self.tick)
        assert not await control.pause_queue("q", note="still too hot", by="bob@host")
        (stop,) = await control.list_stops()
        assert stop == Stop(queue="q", note="still too hot", by="bob@host", since=stop.since)
        assert before - 0.01 <= stop.since <= after + 0.01

    async def test_resume_queue_not_paused_returns_false(self, broker: Broker, control: QueueControl) -> None:
        """Only the first resume of a pause answers True; none is needed for a queue that is not paused."""
        assert not await control.resume_queue("q")
        await self.pause(control)
        assert [await control.resume_queue("q") for _ in range(2)] == [True, False]
        assert await control.list_stops() == []

    async def test_list_stops_of_all_queues_sorted(
        self, broker: Broker, control: QueueControl, peer: QueueControl
    ) -> None:
        """Every process sees the pauses of all queues, also of those that never had a job."""
        for queue in ("r", "p", "q"):
            await self.pause(control, queue)
        await control.resume_queue("q")
        stops = await peer.list_stops()
        assert [(stop.queue, stop.task, stop.note, stop.by) for stop in stops] == [
            ("p", None, "too hot", "ada@host"),
            ("r", None, "too hot", "ada@host"),
        ]

    async def test_pause_queue_survives_reconnect(self, broker: Broker, control: QueueControl) -> None:
        """A pause does not end with the connection of the process that made it."""
        await self.pause(control)
        await broker.enqueue([self.job("a")])
        await broker.close()
        await broker.connect()
        assert await self.ids(broker) == ""

    async def test_pause_queue_lasts(self, broker: Broker, control: QueueControl) -> None:
        """A pause has no end by itself."""
        await self.pause(control)
        await broker.enqueue([self.job("a")])
        await self.pass_long(400 * 86_400.0)
        assert await self.ids(broker) == ""

    async def test_pause_queue_bad_values_are_rejected(self, control: QueueControl) -> None:
        """A name that no queue can have, and texts that are too long, are rejected; the longest texts are stored."""
        bad = {"queue": "a b"}, {"note": "n" * (MAX_NOTE + 1)}, {"by": "b" * (MAX_AUTHOR + 1)}
        for changes in bad:
            with pytest.raises(ValueError, match=next(iter(changes))):
                await control.pause_queue(**{"queue": "q", "note": "", "by": "ada", **changes})
        assert await control.list_stops() == []
        longest = {"note": "\n" + "é" * (MAX_NOTE - 1), "by": "b" * MAX_AUTHOR}
        await control.pause_queue("q", **longest)
        assert [(stop.note, stop.by) for stop in await control.list_stops()] == [(longest["note"], longest["by"])]

    async def test_pause_queue_suspect_waits(self, broker: Broker, control: QueueControl) -> None:
        """A job that crashed its workers waits as the others do, and no worker makes room for it."""
        await self.crash(broker, "a", 2)
        await self.pause(control)
        for running in (0, 1):
            claim = await broker.claim(self.request(running=running))
            assert (claim.leases, claim.alone_for) == ([], 0)
        assert await control.resume_queue("q")
        assert await self.ids(broker) == "a"

    async def test_pause_queue_jobs_end_no_wait(
        self, broker: Broker, control: QueueControl, peer: QueueControl
    ) -> None:
        """A wait goes on while the queue has jobs and is paused, and ends when another process resumes the queue."""
        signals = _signals(broker)

        async def work() -> Claim:
            return await signals.wait_and_claim(self.request(), timeout=LONG)

        async def resume() -> None:
            await peer.resume_queue("q")

        await self.pause(control)
        await broker.enqueue([self.job("a")])
        assert await self.ids(broker) == ""
        claim = await self.wakes(work, resume)
        assert [lease.job_id for lease in claim.leases] == ["a"]

    async def test_resume_queue_wakes_each_waiting_worker(
        self, broker: Broker, control: QueueControl, peer: Broker
    ) -> None:
        """A job in a paused queue goes to no waiting worker. The resume wakes one, and a later job the other one."""
        workers = {"w1": _signals(broker), "w2": _signals(peer)}
        taken: dict[str, str] = {}

        async def work(name: str, signals: Signals) -> None:
            while name not in taken:
                claim = await signals.wait_and_claim(self.request(1, worker=name), timeout=LONG)
                taken.update((name, lease.job_id) for lease in claim.leases)

        async def work_together() -> None:
            async with anyio.create_task_group() as tasks:
                for name, signals in workers.items():
                    tasks.start_soon(work, name, signals)

        async def pause_and_resume() -> None:
            await self.pause(control)
            await broker.enqueue([self.job("a")])
            await self.settle_down()
            assert taken == {}
            await control.resume_queue("q")
            while not taken:
                await self.settle_down()
            await broker.enqueue([self.job("b")])

        await self.claim(broker, worker="w1")
        await self.claim(peer, worker="w2")
        await self.wakes(work_together, pause_and_resume)
        assert sorted(taken.values()) == ["a", "b"]


def _signals(broker: Broker) -> Signals:
    """Return the broker as a giver of signals; skip the test if it gives none."""
    if not supports(broker, Signals):
        pytest.skip("the broker has no Signals")
    return broker
