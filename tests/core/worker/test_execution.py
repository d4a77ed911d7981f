"""How jobs are started and interrupted: plain asyncio tasks behave like anyio's scopes."""

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

Make: TypeAlias = Callable[[], JobTasks]

WAYS: list[tuple[str, Make]] = [("asyncio", AsyncioTasks), ("asyncio", AnyioTasks), ("trio", AnyioTasks)]


@pytest.fixture(params=WAYS, ids=["asyncio", "anyio", "trio"])
def way(request: pytest.FixtureRequest) -> tuple[str, Make]:
    """An event loop, and an implementation of `JobTasks` for it."""
    chosen: tuple[str, Make] = request.param
    return chosen


@pytest.fixture
def anyio_backend(way: tuple[str, Make]) -> str:
    """The event loop."""
    return way[0]


@pytest.fixture
def make(way: tuple[str, Make]) -> Make:
    """The implementation of `JobTasks`."""
    return way[1]


class Job:
    """A job whose work waits until the test releases it; it records how the work ended."""

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout
        self.running: JobTask | None = None
        self.begun = anyio.Event()
        self.release = anyio.Event()
        self.outcomes: list[str] = []

    async def body(self, running: JobTask, name: str) -> None:
        """The body of the job."""
        self.running = running
        try:
            self.outcomes.append(await running.run(self.work(name), self.timeout))
        except Interrupted:
            self.outcomes.append("interrupted")

    async def work(self, name: str) -> str:
        """The work of the body."""
        self.begun.set()
        await self.release.wait()
        return name

    def cancel(self) -> None:
        """Interrupt it."""
        assert self.running is not None
        self.running.interrupt()


mark: ContextVar[str] = ContextVar("mark", default="none")


async def test_tasks_start_runs_body_later(make: Make) -> None:
    """`start` returns before the body runs, and the work's result is returned."""
    job = Job()
    job.release.set()
    async with make() as starter:
        starter.start(job.body, "yes", "job 1")
        assert job.outcomes == []
    assert job.outcomes == ["yes"]


async def test_tasks_exit_waits_for_all_jobs(make: Make) -> None:
    """Leaving the context waits until every job has ended, also one that was started last."""
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
        assert (first.outcomes, left) == (["1"], [])
        second.release.set()
    assert left == ["left"]


async def test_tasks_jobs_have_separate_context_variables(make: Make) -> None:
    """A context variable that one job sets is seen neither by the others nor by their starter."""
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


async def test_task_interrupt_leaves_other_jobs_running(make: Make) -> None:
    """Interrupting one job does not interrupt another."""
    one, other = Job(), Job()
    async with make() as starter:
        starter.start(one.body, "one", "one")
        starter.start(other.body, "other", "other")
        await one.begun.wait()
        one.cancel()
        await settle_down()
        other.release.set()
    assert (one.outcomes, other.outcomes) == (["interrupted"], ["other"])


async def test_task_timeout_interrupts_work(make: Make) -> None:
    """The work is interrupted after its timeout."""
    late, early = Job(timeout=0.01), Job(timeout=60)
    early.release.set()
    async with make() as starter:
        starter.start(late.body, "late", "late")
        starter.start(early.body, "early", "early")
    assert (late.outcomes, early.outcomes) == (["interrupted"], ["early"])


async def test_task_interrupt_after_end_does_nothing(make: Make) -> None:
    """An interrupt after the end does nothing, then or later."""
    job = Job()
    job.release.set()
    async with make() as starter:
        starter.start(job.body, "done", "job")
        await job.begun.wait()
        await settle_down()
        job.cancel()
    assert job.outcomes == ["done"]


async def test_task_error_from_interrupted_work_is_raised(make: Make) -> None:
    """An error that interrupted work raises is passed on unchanged."""

    class Sore(Job):
        async def work(self, name: str) -> str:
            try:
                return await super().work(name)
            except anyio.get_cancelled_exc_class():
                raise ValueError("interrupted") from None

        async def body(self, running: JobTask, name: str) -> None:
            with pytest.raises(ValueError, match="interrupted"):
                await super().body(running, name)
            self.outcomes.append("raised")

    job = Sore()
    async with make() as starter:
        starter.start(job.body, "", "job")
        await job.begun.wait()
        job.cancel()
    assert job.outcomes == ["raised"]


async def test_task_interrupt_waits_for_shielded_scope(make: Make) -> None:
    """Work inside a shielded scope of anyio is finished, and the rest is interrupted."""

    class Careful(Job):
        async def work(self, name: str) -> str:
            with anyio.CancelScope(shield=True):
                self.outcomes.append(await super().work(name))
            await anyio.sleep(30)
            return "unreachable"

    job = Careful()
    async with make() as starter:
        starter.start(job.body, "whole", "job")
        await job.begun.wait()
        job.cancel()
        await settle_down()
        assert job.outcomes == []
        job.release.set()
    assert job.outcomes == ["whole", "interrupted"]


async def test_task_swallowed_cancellation_is_repeated(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that swallows a cancellation is cancelled again at a later await."""
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
    assert job.outcomes == ["interrupted"]


async def test_task_interrupted_work_that_returns_has_result(make: Make) -> None:
    """Work that returns although it was interrupted has its result, and is not cancelled later."""

    class Stubborn(Job):
        async def work(self, name: str) -> str:
            try:
                return await super().work(name)
            except anyio.get_cancelled_exc_class():
                return "returned"

    job = Stubborn()
    async with make() as starter:
        starter.start(job.body, "", "job")
        await job.begun.wait()
        job.cancel()
    assert job.outcomes == ["returned"]


async def test_tasks_error_of_body_ends_context(make: Make) -> None:
    """An error that leaves a body ends the context, as in a task group."""

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
async def test_task_own_cancelled_error_is_not_interrupted() -> None:
    """A CancelledError that the work raises itself is passed on, not turned into Interrupted."""
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
async def test_asyncio_task_cleanup_may_await() -> None:
    """On asyncio a cancellation is delivered once, so that cleanup may await."""
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
    assert (job.outcomes, cleaned) == (["interrupted"], ["yes"])
