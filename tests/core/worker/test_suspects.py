"""Jobs that crashed twice run alone, and are not delayed for ever."""

from __future__ import annotations

from typing import Any

import anyio

from aioq import Aarq, Task
from aioq.backends import MemoryBroker
from aioq.model.job import ClaimRequest
from aioq.testing import VirtualClock
from tests.core.rig import drain, settle_down, until, working


class Scene:
    """A task whose jobs run until the test releases them, and a record of which jobs ran together."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.broker = MemoryBroker(clock=self.clock)  # no other task runs while it is being called
        self.app = Aarq(self.broker)
        self.gates: dict[str, anyio.Event] = {}
        self.running: list[str] = []
        self.beside: dict[str, set[str]] = {}
        self.task: Task[[str], None] = self.app.task(name="work", max_crashes=5)(self._work)

    async def _work(self, _: dict[str, Any], name: str) -> None:
        self.running.append(name)
        for each in self.running:
            self.beside.setdefault(each, set()).update(self.running)
        await self.gates.setdefault(name, anyio.Event()).wait()
        self.running.remove(name)

    def release(self, *names: str) -> None:
        """Let running jobs end."""
        for name in names:
            self.gates.setdefault(name, anyio.Event()).set()

    async def accuse(self, *names: str, crashes: int = 2) -> None:
        """Enqueue jobs and let workers crash with each of them."""
        await self.task.enqueue_many(self.task.options(defer_by=1).call(name) for name in names)
        self.clock.suspend(1)  # now they are due, and no other worker has had the time to claim them
        for turn in range(crashes):
            for name in names:
                asked = ClaimRequest(worker_id=name, queues=("default",), limit=1, lease=1, request_id=f"{name} {turn}")
                await self.broker.claim(asked)
            self.clock.suspend(2)
            await self.broker.reap(["default"])


async def test_observed_jobs_that_end_hold_up_nothing() -> None:
    """The next part of the jobs that crashed once starts when the part before has ended, before any time passes."""
    scene = Scene()
    names = [f"o{n}" for n in range(10)]
    await scene.accuse(*names, crashes=1)
    scene.release(*names)
    async with working(scene.app, concurrency=20, lease=30, clock=scene.clock):
        await until(lambda: len(scene.beside) == 10)
    assert [len(beside) for beside in scene.beside.values()] == [1] * 10


async def test_suspect_runs_alone() -> None:
    """The worker lets its running jobs end, runs the suspect alone, and then goes on with the others."""
    scene = Scene()
    await scene.task.enqueue_many(map(scene.task.call, ["first", "second"]))
    async with working(scene.app, concurrency=4):
        await until(lambda: len(scene.running) == 2)
        await scene.accuse("suspect")
        await scene.task.enqueue("later")
        await settle_down()
        assert len(scene.running) == 2
        scene.release("first")
        await settle_down()
        assert scene.running == ["second"]
        scene.release("second")
        await until(lambda: scene.running == ["suspect"])
        await scene.task.enqueue("latest")
        await settle_down()
        assert scene.running == ["suspect"]
        scene.release("suspect", "later", "latest")
        await until(lambda: {"later", "latest"} <= set(scene.beside))
    assert scene.beside["suspect"] == {"suspect"}


async def test_suspects_run_one_by_one() -> None:
    """Suspects run one after the other, and a burst ends when all have run."""
    scene = Scene()
    await scene.accuse("a", "b", "c")
    scene.release("a", "b", "c")
    await drain(scene.app, concurrency=4)
    assert scene.beside == {"a": {"a"}, "b": {"b"}, "c": {"c"}}


async def test_suspect_in_busy_fleet_gets_one_worker() -> None:
    """One worker makes room for the suspect; the other goes on taking new jobs."""
    scene = Scene()
    await scene.task.enqueue_many(map(scene.task.call, ["one", "two"]))
    async with working(scene.app, concurrency=1, id="w1"), working(scene.app, concurrency=1, id="w2"):
        await until(lambda: len(scene.running) == 2)
        await scene.accuse("suspect")
        names = [f"job-{n}" for n in range(20)]
        await scene.task.enqueue_many(map(scene.task.call, names))
        scene.release("one", *names)
        await until(lambda: "suspect" in scene.running)
        assert "two" in scene.running
        scene.release("suspect", "two")
        await until(lambda: set(names) <= set(scene.beside))


async def test_worker_making_room_for_suspect_stops() -> None:
    """A worker that waits to be empty for a suspect stops at once."""
    scene = Scene()
    await scene.task.enqueue("first")
    async with working(scene.app, concurrency=2) as worker:
        await until(lambda: scene.running == ["first"])
        await scene.accuse("suspect")
        await settle_down()
        worker.stop()
        scene.release("first")
    assert scene.running == []
    (stats,) = await scene.broker.queue_stats()
    assert (stats.pending, stats.running) == (1, 0)


async def test_worker_resumes_when_its_turn_to_make_room_has_passed() -> None:
    """A worker whose job outlasts its turn claims other jobs again, and does not for a while after its rest."""
    scene = Scene()
    await scene.task.enqueue("long")
    async with working(scene.app, concurrency=2, clock=scene.clock, lease=6):
        await until(lambda: scene.running == ["long"])
        await scene.accuse("suspect")
        await settle_down()
        scene.release("first", "second")
        await scene.task.enqueue("first")
        await scene.clock.advance(6 * 10 - 3)
        assert "first" not in scene.beside
        await scene.clock.advance(6)
        assert "first" in scene.beside
        await scene.clock.advance(6 * 10)
        await scene.task.enqueue("second")
        await scene.clock.advance(6)
        assert not {"second", "suspect"} & set(scene.beside)
        scene.release("long", "suspect")
        await scene.clock.advance(6)
        assert scene.beside["suspect"] == {"suspect"}
        await until(lambda: "second" in scene.beside)


async def test_suspect_that_was_cleared_runs_beside_the_next() -> None:
    """A suspect that has run for longer than at its crash does not hold up the next one."""
    scene = Scene()
    await scene.accuse("a", "b")
    async with working(scene.app, concurrency=4, clock=scene.clock, lease=3):
        await until(lambda: len(scene.running) == 1)
        await scene.clock.advance(60)
        assert sorted(scene.running) == ["a", "b"]
        scene.release("a", "b")
        await until(lambda: not scene.running)


async def test_observed_jobs_start_in_parts() -> None:
    """Jobs that crashed once start one after the other, and not all at once."""
    scene = Scene()
    names = [f"job-{n}" for n in range(6)]
    await scene.accuse(*names, crashes=1)
    async with working(scene.app, concurrency=10, clock=scene.clock, lease=15):
        await until(lambda: len(scene.running) == 1)
        for number in range(2, 7):
            await scene.clock.advance(1.01)
            assert len(scene.running) == number
        scene.release(*names)
        await until(lambda: not scene.running)


async def test_suspect_of_full_worker_goes_to_another() -> None:
    """After ten leases, and not earlier, a second worker is told to make room."""
    scene = Scene()
    await scene.accuse("suspect")

    async def asked_for_room(worker: str, n: int) -> bool:
        asked = ClaimRequest(
            worker_id=worker, queues=("default",), limit=1, lease=1, request_id=f"{worker} {n}", running=1
        )
        return (await scene.broker.claim(asked)).alone_for > 0

    assert [await asked_for_room("w1", 1), await asked_for_room("w2", 1), await asked_for_room("w1", 2)] == [
        True,
        False,
        True,
    ]
    scene.clock.suspend(9.9)
    assert await asked_for_room("w2", 2) is False
    scene.clock.suspend(0.2)
    assert [await asked_for_room("w2", 3), await asked_for_room("w1", 3)] == [True, False]
