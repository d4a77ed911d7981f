"""How a worker runs jobs that behave: which task, with which arguments and context."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest

from aioq import Aarq, JobContext
from aioq.model.job import NewJob
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, record_of, settle_down, working

request_id: ContextVar[str] = ContextVar("request_id", default="none")


async def test_runner_result_is_returned_to_client(app: Aarq) -> None:
    """`Job.result` returns what the task returned."""

    @app.task
    async def add(_: object, a: int, b: int = 3) -> int:
        return a + b

    async with working(app):
        job = await add.enqueue(4)
        assert await job.result(timeout=5) == 7
        assert await job.state() is JobState.COMPLETED


async def test_runner_context_has_worker_broker_and_job(app: Aarq, broker: FlakyBroker) -> None:
    """The context holds the worker's id, the broker and the job's facts, and nothing else without a lifespan."""
    seen: list[dict[str, Any]] = []

    @app.task(queue="mail")
    async def look(ctx: dict[str, Any]) -> None:
        seen.append(ctx)

    job = await look.enqueue()
    await drain(app, id="w1")
    (ctx,) = seen
    assert isinstance(ctx.pop("enqueued_at"), datetime)
    assert ctx.pop("headers") == {}
    assert ctx == {"worker_id": "w1", "broker": broker, "job_id": job.id, "attempt": 1, "epoch": 1, "queue": "mail"}


async def test_runner_context_has_headers_of_the_enqueue(app: Aarq) -> None:
    """Each attempt finds the headers of its job, which it cannot change, and a job of the same call its own."""
    seen: list[tuple[int, dict[str, str]]] = []

    @app.task(retries=1, retry_delay=0)
    async def look(ctx: JobContext) -> None:
        with pytest.raises(TypeError):
            ctx["headers"]["new"] = "1"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
        seen.append((ctx["attempt"], dict(ctx["headers"])))
        if ctx["attempt"] == 1:
            raise ValueError

    given = {"tenant": "north"}
    call = look.options(headers=given).call()
    given["tenant"] = "south"
    await app.enqueue_many([call, look.call()])
    await drain(app)
    assert sorted(seen, key=str) == sorted(
        [(n, {"tenant": "north"}) for n in (1, 2)] + [(n, {}) for n in (1, 2)], key=str
    )


async def test_runner_enqueued_at_is_on_broker_clock(clock: VirtualClock) -> None:
    """`enqueued_at` is an aware datetime on the broker's clock."""
    app = Aarq(FlakyBroker(clock=clock))
    seen: list[datetime] = []

    @app.task
    async def look(ctx: dict[str, Any]) -> None:
        seen.append(ctx["enqueued_at"])

    await look.enqueue()
    await drain(app)
    assert seen == [datetime(2026, 1, 1, tzinfo=UTC)]


async def test_runner_plain_function_runs_in_thread(app: Aarq) -> None:
    """A plain function runs in a thread, outside the event loop."""

    @app.task
    def where_am_i(_: object) -> bool:
        return threading.current_thread() is threading.main_thread()

    job = await where_am_i.enqueue()
    await drain(app)
    assert await job.result(timeout=5) is False


async def test_runner_has_a_thread_for_every_slot(app: Aarq) -> None:
    """Plain functions run at the same time, one in each slot."""
    barrier = threading.Barrier(3, timeout=5)

    @app.task
    def meet(_: object) -> int:
        return barrier.wait()

    jobs = await meet.enqueue_many([meet.call() for _ in range(3)])
    await drain(app, concurrency=3)
    assert sorted([await job.result(timeout=5) for job in jobs]) == [0, 1, 2]


async def test_runner_plain_wrapper_of_coroutine_is_awaited(app: Aarq) -> None:
    """A plain decorator around an async function works: the coroutine runs in the event loop."""

    def logged(function: Callable[..., Coroutine[Any, Any, bool]]) -> Callable[..., Coroutine[Any, Any, bool]]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Coroutine[Any, Any, bool]:
            return function(*args)

        return wrapper

    @app.task
    @logged
    async def where_am_i(_: object) -> bool:
        return threading.current_thread() is threading.main_thread()

    job = await where_am_i.enqueue()
    await drain(app)
    assert await job.result(timeout=5) is True


async def test_runner_context_variables_stay_in_their_job(app: Aarq) -> None:
    """A context variable that one job sets is seen neither by other jobs nor by the worker."""

    @app.task
    async def leave_a_mark(_: object, mark: str) -> str:
        before = request_id.get()
        request_id.set(mark)
        await settle_down()
        return f"{before} {request_id.get()}"

    jobs = [await leave_a_mark.enqueue(mark) for mark in ("a", "b")]
    await drain(app)
    assert [await job.result(timeout=5) for job in jobs] == ["none a", "none b"]
    assert request_id.get() == "none"


async def test_runner_context_variables_reach_threads(app: Aarq) -> None:
    """A plain function sees the context variables of its own job."""

    @app.task
    def look(_: object) -> str:
        before = request_id.get()
        request_id.set("mine")
        return before

    request_id.set("the worker's")
    jobs = await look.enqueue_many([look.call(), look.call()])
    await drain(app, concurrency=1)
    request_id.set("none")
    assert [await job.result(timeout=5) for job in jobs] == ["the worker's"] * 2


async def test_task_called_directly_runs_without_broker(app: Aarq) -> None:
    """Calling a task runs its function at once, without a broker."""

    @app.task
    async def add(_: object, a: int, b: int) -> int:
        return a + b

    @app.task
    def thread(_: object) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await add({}, 1, b=2) == 3
    assert await thread({}) is False


async def test_runner_retry_keeps_id_and_arguments(app: Aarq, broker: FlakyBroker) -> None:
    """A retry keeps id and arguments, and counts the attempt."""
    seen: list[tuple[str, int, int]] = []

    @app.task(retries=1, retry_delay=0)
    async def fails_once(ctx: dict[str, Any], x: int) -> int:
        seen.append((ctx["job_id"], ctx["attempt"], x))
        if ctx["attempt"] == 1:
            raise ValueError("not yet")
        return x

    job = await fails_once.enqueue(5)
    await drain(app)
    assert seen == [(job.id, 1, 5), (job.id, 2, 5)]
    assert (await record_of(broker, job.id)).attempt == 2


async def test_runner_job_of_another_program_runs(app: Aarq, broker: FlakyBroker) -> None:
    """A job that another program wrote needs only the task's name and JSON."""

    @app.task(name="say")
    async def say(_: object, word: str, times: int = 1) -> str:
        return word * times

    await broker.enqueue([NewJob(id="j", task="say", queue="default", payload=b'{"times": 2, "word": "ho"}')])
    await drain(app)
    assert await say.job("j").result(timeout=5) == "hoho"


async def test_runner_lost_job_claimed_again_cancels_old_run(clock: VirtualClock) -> None:
    """A worker that claims its own lost job again cancels the earlier run first."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    running: set[int] = set()

    @app.task
    async def long(ctx: dict[str, Any]) -> None:
        running.add(ctx["epoch"])
        try:
            await clock.sleep(1000)
        finally:
            running.discard(ctx["epoch"])

    await long.enqueue()
    async with working(app, clock=clock, lease=30, concurrency=2) as worker:
        await settle_down()
        assert running == {1}
        await clock.advance(9)
        await broker.reap(["default"], lease=600)  # by another worker, whose clock goes on
        clock.suspend(60)
        await broker.reap(["default"], lease=600)
        await settle_down()
        assert running == {2}
        worker.stop()
        worker.stop()
