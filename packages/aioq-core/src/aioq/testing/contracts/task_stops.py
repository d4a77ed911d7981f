"""Tests that a claim takes no job of a stopped task, and that its jobs wait unchanged until it is restored."""

from __future__ import annotations

import anyio
import pytest

from aioq.conformance import supports
from aioq.model.job import Completed, NewJob, Released, Retried, Settled, Settlement
from aioq.model.states import JobState
from aioq.model.stops import MAX_STOPPED, Stop, TooManyStops
from aioq.protocols import Broker, QueueControl, Signals
from aioq.testing.contracts.control_suite import ControlSuite
from aioq.testing.contracts.suite import FAILURE, LONG

__all__ = ["TaskStopContract"]

HOT = "tasks.hot"


class TaskStopContract(ControlSuite):
    """Stops and restores the task `tasks.hot` in queue `q` by default."""

    def hot(self, id: str, **changes: object) -> NewJob:
        """Return a job of the task that is stopped."""
        return self.job(id, task=HOT, **changes)

    async def stop(self, control: QueueControl, task: str = HOT, queue: str = "q") -> None:
        """Stop a task that is not stopped."""
        assert await control.stop_task(task, queue=queue, note="too hot", by="ada@host")

    async def restore(self, control: QueueControl, task: str = HOT) -> None:
        """Restore a stopped task."""
        assert await control.restore_task(task, queue="q")

    async def test_stop_task_others_are_claimed_in_order(self, broker: Broker, control: QueueControl) -> None:
        """The jobs of other tasks are claimed in their order, those of the stopped one not at all."""
        await broker.enqueue([self.hot("x"), self.job("a"), self.hot("y", priority=9), self.job("b", priority=9)])
        await self.stop(control)
        await broker.enqueue([self.job("c"), self.hot("z")])
        assert await self.ids(broker) == "bac"
        assert await self.ids(broker) == ""

    async def test_stop_task_lone_job_is_not_claimed(self, broker: Broker, control: QueueControl) -> None:
        """The only job of a queue is not claimed if its task is stopped, and a later one of another task is."""
        await self.stop(control)
        await broker.enqueue([self.hot("x")])
        assert await self.ids(broker, 1) == ""
        await broker.enqueue([self.job("a")])
        assert await self.ids(broker, 1) == "a"

    async def test_stop_task_in_one_queue_only(self, broker: Broker, control: QueueControl) -> None:
        """A task is stopped in the named queue; its jobs in other queues are claimed."""
        await broker.enqueue([self.hot("x"), self.hot("a", queue="p")])
        await self.stop(control)
        leases = await self.claim(broker, queues=("p", "q"))
        assert [lease.job_id for lease in leases] == ["a"]

    async def test_stop_task_counts_in_other_processes(
        self, broker: Broker, control: QueueControl, peer: Broker
    ) -> None:
        """A stop and a restore count for claims of every process."""
        await peer.enqueue([self.hot("x"), self.job("a")])
        await self.stop(control)
        assert await self.ids(peer) == "a"
        await self.restore(control)
        assert await self.ids(peer) == "x"

    async def test_restore_task_order_is_priority_and_age(self, broker: Broker, control: QueueControl) -> None:
        """Restored jobs are claimed by priority and age, each in front of younger ones of its priority."""
        await self.stop(control)
        await broker.enqueue([self.hot("d"), self.hot("b", priority=9), self.hot("e"), self.hot("g", priority=1)])
        assert await self.ids(broker) == ""
        await broker.enqueue([self.job("f"), self.job("c", priority=9), self.job("h", priority=1)])
        await broker.enqueue([self.hot("z", priority=0)])
        await self.restore(control)
        assert [await self.ids(broker, 1) for _ in "bcdef"] == ["b", "c", "d", "e", "f"]
        assert await self.ids(broker, 2) == "gh"
        assert await self.ids(broker) == "z"

    async def test_restore_task_in_parts_keeps_order(self, broker: Broker, control: QueueControl) -> None:
        """Claims of any size take restored jobs one after the other, whatever was set aside when."""
        await self.stop(control)
        names = "abcdefghijklmnop"
        for n in range(0, len(names), 4):
            await broker.enqueue([self.hot(name) for name in names[n : n + 4]])
            assert await self.ids(broker, 3) == ""
        await self.restore(control)
        taken = [await self.ids(broker, limit) for limit in (1, 2, 3, 4, 6, 5)]
        assert taken == ["a", "bc", "def", "ghij", "klmnop", ""]

    async def test_stop_task_jobs_are_seen_and_changed(self, broker: Broker, control: QueueControl) -> None:
        """Jobs of a stopped task stay `pending`: they are found, listed, counted, cancelled and replayed."""
        store = self.store_of(broker)
        await broker.enqueue([self.hot("x"), self.hot("y"), self.hot("z")])
        await self.stop(control)
        assert await self.ids(broker) == ""
        await broker.enqueue([self.job("a"), self.hot("w")])
        record = await store.get_job("x", queue="q")
        assert record is not None
        assert (record.state, record.task) == (JobState.PENDING, HOT)
        assert sorted(job.id for job in await store.list_jobs("q", JobState.PENDING)) == ["a", "w", "x", "y", "z"]
        assert len(await store.list_jobs("q", JobState.PENDING, limit=2, offset=4)) == 1
        assert [stats.pending for stats in await store.queue_stats() if stats.queue == "q"] == [5]
        assert await store.cancel_job("y", queue="q")
        assert await store.cancel_job("w", queue="q")
        assert await broker.enqueue([self.hot("x"), self.hot("y")]) == [False, False]
        assert await self.ids(broker) == "a"
        assert await store.retry_job("y", queue="q")
        assert await self.ids(broker) == ""
        await self.restore(control)
        assert await self.ids(broker) == "xzy"

    async def test_restore_task_pending_list_is_order_of_execution(self, broker: Broker, control: QueueControl) -> None:
        """After the restore, jobs are listed as they will be claimed."""
        store = self.store_of(broker)
        await self.stop(control)
        await broker.enqueue([self.hot("c"), self.hot("a", priority=9), self.hot("d")])
        assert await self.ids(broker) == ""
        await broker.enqueue([self.job("b", priority=9), self.job("e")])
        await self.restore(control)
        listed = [job.id for job in await store.list_jobs("q", JobState.PENDING)]
        assert [job.id for job in await store.list_jobs("q", JobState.PENDING, limit=2, offset=2)] == listed[2:4]
        assert "".join(listed) == await self.ids(broker) == "abcde"

    async def test_stop_task_running_jobs_go_on(self, broker: Broker, control: QueueControl) -> None:
        """Jobs that were claimed before are settled. One that is released is first after the restore, in its place."""
        await broker.enqueue([self.hot(id) for id in "abcd"])
        a, b, c = await self.claim(broker, 3)
        await self.stop(control)
        assert await self.ids(broker) == ""
        assert await broker.extend([a, b, c], seconds=60) == []
        settlements: list[Settlement] = [
            Released(lease=b),
            Completed(lease=a),
            Retried(lease=c, delay=0.0, failure=FAILURE),
        ]
        assert await broker.settle(settlements) == [Settled.DONE] * 3
        assert await self.ids(broker) == ""
        await self.restore(control)
        assert await self.ids(broker) == "bdc"

    async def test_stop_task_due_jobs_wait(self, broker: Broker, control: QueueControl) -> None:
        """A job of a stopped task that comes due is not claimed, and no other job is late because of it."""
        await self.stop(control)
        await broker.enqueue([self.hot("x", delay=self.tick), self.job("a", delay=self.tick)])
        await self.pass_time(self.tick * 1.5)
        assert await self.ids(broker) == "a"
        await self.restore(control)
        assert await self.ids(broker) == "x"

    async def test_stop_task_many_jobs_are_met_once(self, broker: Broker, control: QueueControl) -> None:
        """A claim that asks for one job finds it behind hundreds of a stopped task, within a few claims."""
        many = 700
        await broker.enqueue([self.hot(f"x{n:03}") for n in range(many)])
        await broker.enqueue([self.job("a"), self.job("b")])
        await self.stop(control)
        found = [await self.ids(broker, 1) for _ in range(10)]
        assert [ids for ids in found if ids] == ["a", "b"]
        await broker.enqueue([self.job("c")])
        assert await self.ids(broker, 1) == "c"
        await self.restore(control)
        restored = [lease.job_id for lease in await self.claim(broker, many + 1)]
        assert restored == [f"x{n:03}" for n in range(many)]

    async def test_stop_task_suspects_wait_and_hold_up_nobody(self, broker: Broker, control: QueueControl) -> None:
        """A job that crashed its workers waits while its task is stopped, and no busy worker makes room for it."""
        await broker.enqueue([self.hot("x", max_crashes=9)])
        for _ in range(2):
            assert await self.ids_for(broker, self.tick) == "x"
            await self.pass_time(self.tick * 1.5)
            await broker.reap(["q"])
        await self.stop(control)
        await broker.enqueue([self.job("a"), self.job("b")])
        busy = await broker.claim(self.request(1, running=1))
        assert ([lease.job_id for lease in busy.leases], busy.alone_for) == (["a"], 0)
        assert await self.ids(broker) == "b"
        await self.restore(control)
        assert await self.ids(broker) == "x"

    async def ids_for(self, broker: Broker, lease: float) -> str:
        """Claim one job under a lease of this length, and return its id."""
        return (await self.claim_one(broker, lease=lease)).job_id

    async def test_stop_task_again_while_jobs_come_back(self, broker: Broker, control: QueueControl) -> None:
        """A task can be stopped again before the claims have taken all restored jobs; their order stays."""
        await self.stop(control)
        await broker.enqueue([self.hot(id) for id in "abcde"])
        assert await self.ids(broker) == ""
        await self.restore(control)
        assert await self.ids(broker, 2) == "ab"
        await self.stop(control)
        await broker.enqueue([self.hot("f"), self.job("g")])
        assert await self.ids(broker) == "g"
        await self.restore(control)
        assert await self.ids(broker) == "cdef"

    async def test_stop_task_several_are_restored_one_by_one(self, broker: Broker, control: QueueControl) -> None:
        """Each stopped task has its own jobs, and the restore of one brings back no others."""
        for task in ("t1", "t2", "t3"):
            await self.stop(control, task)
        await broker.enqueue([self.job(f"{n}", task=f"t{n}") for n in (1, 2, 3)])
        assert await self.ids(broker) == ""
        await self.restore(control, "t2")
        assert await self.ids(broker) == "2"
        await self.restore(control, "t1")
        await self.restore(control, "t3")
        assert sorted(await self.ids(broker)) == ["1", "3"]
        assert await control.list_stops() == []

    async def test_stop_task_in_paused_queue(self, broker: Broker, control: QueueControl) -> None:
        """A pause and a stop are independent of each other."""
        await self.stop(control)
        await self.pause(control)
        await broker.enqueue([self.hot("x"), self.job("a")])
        assert await control.resume_queue("q")
        assert await self.ids(broker) == "a"
        await self.pause(control)
        await self.restore(control)
        assert await self.ids(broker) == ""
        assert await control.resume_queue("q")
        assert await self.ids(broker) == "x"

    async def test_stop_task_twice_keeps_time_and_replaces_note(self, broker: Broker, control: QueueControl) -> None:
        """A second stop gives the stop a new note and author, and keeps its time and the jobs that were set aside."""
        await self.stop(control)
        (before,) = await control.list_stops()
        await broker.enqueue([self.hot("x")])
        assert await self.ids(broker) == ""
        await self.pass_time(self.tick)
        assert not await control.stop_task(HOT, queue="q", note="still", by="bob@host")
        (stop,) = await control.list_stops()
        assert stop == Stop(queue="q", task=HOT, note="still", by="bob@host", since=before.since)
        await self.restore(control)
        assert await self.ids(broker) == "x"

    async def test_restore_task_not_stopped_returns_false(self, broker: Broker, control: QueueControl) -> None:
        """Only the first restore of a stop answers True."""
        assert not await control.restore_task(HOT, queue="q")
        await self.stop(control)
        assert [await control.restore_task(HOT, queue="q") for _ in range(2)] == [True, False]

    async def test_list_stops_pause_before_tasks(self, broker: Broker, control: QueueControl) -> None:
        """The orders of a queue are listed together: its pause, then its tasks by name."""
        await self.stop(control, "t2")
        await self.stop(control, "t1")
        await self.stop(control, "t1", "p")
        await self.pause(control)
        found = [(stop.queue, stop.task) for stop in await control.list_stops()]
        assert found == [("p", "t1"), ("q", None), ("q", "t1"), ("q", "t2")]

    async def test_stop_task_bad_values_are_rejected(self, control: QueueControl) -> None:
        """A name that no task can have is rejected, and so is one task more than can be stopped."""
        with pytest.raises(ValueError, match="name"):
            await control.stop_task("a b", queue="q", note="", by="ada")
        for n in range(MAX_STOPPED):
            await control.stop_task(f"t{n}", queue="q", note="", by="ada")
        with pytest.raises(TooManyStops, match="1,000 tasks of queue q"):
            await control.stop_task("more", queue="q", note="", by="ada")
        assert not await control.stop_task("t7", queue="q", note="again", by="ada")
        assert len(await control.list_stops()) == MAX_STOPPED

    async def test_restore_task_wakes_waiting_worker(self, broker: Broker, control: QueueControl) -> None:
        """A worker that waits is woken by the restore, and not kept busy by jobs of a stopped task."""
        if not supports(broker, Signals):
            pytest.skip("the broker has no Signals")
        signals: Signals = broker
        taken: list[str] = []

        async def work() -> None:
            while not taken:
                claim = await signals.wait_and_claim(self.request(), timeout=LONG)
                taken.extend(lease.job_id for lease in claim.leases)

        async def restore() -> None:
            await self.restore(control)

        await self.stop(control)
        await self.enqueue_and_settle_down(control, self.hot("x"))
        await self.wakes(work, restore)
        assert taken == ["x"]

    async def enqueue_and_settle_down(self, control: QueueControl, job: NewJob) -> None:
        """Enqueue a job, and have a claim meet it."""
        assert isinstance(control, Broker)
        await control.enqueue([job])
        with anyio.fail_after(LONG):
            assert await self.ids(control) == ""
