"""How jobs are started and cut short: the plain tasks of asyncio promise what anyio's scopes do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest

from aioq.worker.execution import asyncio_tasks
from aioq.worker.execution.anyio_tasks import AnyioTasks
from aioq.worker.execution.asyncio_tasks import AsyncioTasks
from aioq.worker.execution.protocol import Interrupted, JobTask, JobTasks
from tests.core.rig import settle_down

mark: ContextVar[str] = ContextVar("mark", default="none")

Make: TypeAlias = Callable[[], JobTasks]


WAYS: list[tuple[str, Make]] = [("asyncio", AsyncioTasks), ("asyncio", AnyioTasks), ("trio", AnyioTasks)]


@pytest.fixture(params=WAYS, ids=["plain", "scoped", "trio"])
def way(request: pytest.FixtureRequest) -> tuple[str, Make]:
    """An event loop, and a way to start jobs in it."""
    chosen: tuple[str, Make] = request.param
    return chosen


@pytest.fixture
def anyio_backend(way: tuple[str, Make]) -> str:
    """The event loop."""
    return way[0]


@pytest.fixture
def make(way: tuple[str, Make]) -> Make:
    """The way to start jobs."""
    return way[1]


class Job:
    """A job whose work waits until it is let go, and which notes how that went."""

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout
        self.running: JobTask | None = None
        self.begun, self.release = anyio.Event(), anyio.Event()
        self.said: list[str] = []

    async def body(self, running: JobTask, name: str) -> None:
        """Be the body."""
        self.running = running
        try:
            self.said.append(await running.run(self.work(name), self.timeout))
        except Interrupted:
            self.said.append("cut")

    async def work(self, name: str) -> str:
        """Be the work of the body."""
        self.begun.set()
        await self.release.wait()
        return name

    def cancel(self) -> None:
        """Interrupt it."""
        assert self.running is not None
        self.running.interrupt()


async def test_a_job_runs_and_its_work_returns(make: Make) -> None:
    """The body is called with its subject, soon and not at once."""
    job = Job()
    job.release.set()
    async with make() as starter:
        starter.start(job.body, "yes", "job 1")
        assert job.said == []
    assert job.said == ["yes"]


async def test_to_leave_is_to_wait(make: Make) -> None:
    """Whoever leaves the starter waits until every job has ended, the last one too."""
    first, second = Job(), Job()
    left: list[str] = []
    async with anyio.create_task_group() as tg:

        async def hold() -> None:
            async with make() as starter:
                starter.start(first.body, "1", "job 1")
                starter.start(second.body, "2", "job 2")
            left.append("left")

        tg.start_soon(hold)
        await first.begun.wait()
        first.release.set()
        await settle_down()
        assert (first.said, left) == (["1"], [])
        second.release.set()
    assert left == ["left"]


async def test_each_job_has_context_variables_of_its_own(make: Make) -> None:
    """What one sets neither the other sees nor who started it."""
    seen: list[str] = []

    async def body(_: JobTask, name: str) -> None:
        seen.append(mark.get())
        mark.set(name)
        await anyio.lowlevel.checkpoint()
        seen.append(mark.get())

    async with make() as starter:
        for name in ("a", "b"):
            starter.start(body, name, name)
    assert (sorted(seen), mark.get()) == (["a", "b", "none", "none"], "none")


async def test_a_job_is_cancelled_alone(make: Make) -> None:
    """The other goes on."""
    one, other = Job(), Job()
    async with make() as starter:
        starter.start(one.body, "one", "one")
        starter.start(other.body, "other", "other")
        await one.begun.wait()
        one.cancel()
        await settle_down()
        other.release.set()
    assert (one.said, other.said) == (["cut"], ["other"])


async def test_a_job_has_its_time(make: Make) -> None:
    """After its timeout the work is cut short."""
    late, early = Job(timeout=0.01), Job(timeout=60)
    early.release.set()
    async with make() as starter:
        starter.start(late.body, "late", "late")
        starter.start(early.body, "early", "early")
    assert (late.said, early.said) == (["cut"], ["early"])


async def test_to_cancel_what_has_ended_does_nothing(make: Make) -> None:
    """Nor is anything left behind that would cancel it later."""
    job = Job()
    job.release.set()
    async with make() as starter:
        starter.start(job.body, "done", "job")
        await job.begun.wait()
        await settle_down()
        job.cancel()
    assert job.said == ["done"]


async def test_work_that_gives_way_with_an_error_raises_it(make: Make) -> None:
    """What the work makes of being cut short is told as it is."""

    class Sore(Job):
        async def work(self, name: str) -> str:
            try:
                return await super().work(name)
            except anyio.get_cancelled_exc_class():
                raise ValueError("interrupted") from None

        async def body(self, running: JobTask, name: str) -> None:
            with pytest.raises(ValueError, match="interrupted"):
                await super().body(running, name)
            self.said.append("raised")

    job = Sore()
    async with make() as starter:
        starter.start(job.body, "", "job")
        await job.begun.wait()
        job.cancel()
    assert job.said == ["raised"]


async def test_a_shield_is_waited_for(make: Make) -> None:
    """What stands in a shield of anyio's is finished, and the rest is not begun."""

    class Careful(Job):
        async def work(self, name: str) -> str:
            with anyio.CancelScope(shield=True):
                self.said.append(await super().work(name))
            await anyio.sleep(30)
            return "unreachable"

    job = Careful()
    async with make() as starter:
        starter.start(job.body, "whole", "job")
        await job.begun.wait()
        job.cancel()
        await settle_down()
        assert job.said == []
        job.release.set()
    assert job.said == ["whole", "cut"]


async def test_work_that_goes_on_is_cancelled_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who swallows a cancellation gets another at a later await."""
    monkeypatch.setattr(asyncio_tasks, "CANCEL_EVERY", 0.01)

    class Deaf(Job):
        async def work(self, name: str) -> str:
            try:
                return await super().work(name)
            except anyio.get_cancelled_exc_class():
                await anyio.sleep(3)
            return "was left alone"

    job = Deaf()
    async with make() as starter:
        starter.start(job.body, "", "job")
        await job.begun.wait()
        job.cancel()
    assert job.said == ["cut"]


async def test_work_that_ends_in_spite_of_it_has_ended(make: Make) -> None:
    """Its value is returned, and it is left alone from then on."""

    class Stubborn(Job):
        async def work(self, name: str) -> str:
            try:
                return await super().work(name)
            except anyio.get_cancelled_exc_class():
                return "in spite"

    job = Stubborn()
    async with make() as starter:
        starter.start(job.body, "", "job")
        await job.begun.wait()
        job.cancel()
    assert job.said == ["in spite"]


async def test_an_error_that_leaves_a_job_is_not_lost(make: Make) -> None:
    """It ends the block of the starter, as a child's error ends that of a task group."""

    async def body(_: JobTask, name: str) -> None:
        raise LookupError(name)

    async def mistaken() -> None:
        async with make() as starter:
            starter.start(body, "a mistake", "job")
            await anyio.sleep(30)

    with pytest.raises(ExceptionGroup) as caught:
        await mistaken()
    assert caught.group_contains(LookupError, match="a mistake")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_of_the_works_own_is_no_cut() -> None:
    """A CancelledError that nobody asked for is the work's own error."""
    raised: list[str] = []

    async def work() -> None:
        raise asyncio.CancelledError

    async def body(running: JobTask, _: str) -> None:
        try:
            await running.run(work(), None)
        except asyncio.CancelledError:
            raised.append("its own")

    async with AsyncioTasks() as starter:
        starter.start(body, "", "job")
    assert raised == ["its own"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_plain_work_may_use_awaits_to_clean_up() -> None:
    """On asyncio a cancellation comes once, and what the work awaits after it is not disturbed."""
    cleaned: list[str] = []

    class Clean(Job):
        async def work(self, name: str) -> str:
            try:
                return await super().work(name)
            finally:
                await settle_down()
                cleaned.append("yes")

    job = Clean()
    async with AsyncioTasks() as starter:
        starter.start(job.body, "", "job")
        await job.begun.wait()
        job.cancel()
    assert (job.said, cleaned) == (["cut"], ["yes"])
