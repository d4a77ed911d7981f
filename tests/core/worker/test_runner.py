"""What a worker does with jobs that behave: which task runs, on what, in what surroundings."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from aioq import Aarq, Retry, Worker
from aioq.model.job import NewJob
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, record_of, settle_down, until, working

request_id: ContextVar[str] = ContextVar("request_id", default="none")


async def test_a_job_runs_and_its_result_comes_back(app: Aarq) -> None:
    """What the task returns is what `result` returns."""

    @app.task
    async def add(_: object, a: int, b: int = 3) -> int:
        return a + b

    async with working(app):
        job = await add.enqueue(4)
        assert await job.result(timeout=5) == 7
        assert await job.state() is JobState.COMPLETED


async def test_the_context_of_a_job(app: Aarq, broker: FlakyBroker) -> None:
    """A task sees its worker, its broker, its job, and nothing more when there is no lifespan."""
    seen: list[dict[str, Any]] = []

    @app.task(queue="mail")
    async def look(ctx: dict[str, Any]) -> None:
        seen.append(ctx)

    job = await look.enqueue()
    await drain(app, id="w1")
    (ctx,) = seen
    assert isinstance(ctx.pop("enqueued_at"), datetime)
    assert ctx == {"worker_id": "w1", "broker": broker, "job_id": job.id, "attempt": 1, "epoch": 1, "queue": "mail"}


async def test_enqueued_at_is_on_the_brokers_clock(clock: VirtualClock) -> None:
    """`enqueued_at` is aware, and the broker's time."""
    app = Aarq(FlakyBroker(clock=clock))
    seen: list[datetime] = []

    @app.task
    async def look(ctx: dict[str, Any]) -> None:
        seen.append(ctx["enqueued_at"])

    await look.enqueue()
    await drain(app)
    assert seen == [datetime(2026, 1, 1, tzinfo=UTC)]


async def test_the_lifespan_surrounds_the_worker(app: Aarq) -> None:
    """It is entered once per worker, its keys are in every context, and it is left at the end."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(its_app: Aarq) -> AsyncGenerator[dict[str, Any], None]:
        assert its_app is app
        events.append("enter")
        yield {"db": "pool", "job_id": "no"}
        events.append("leave")

    app.lifespan = lifespan

    @app.task
    async def use(ctx: dict[str, Any]) -> None:
        events.append(f"{ctx['db']} {ctx['job_id'] == 'no'}")

    await use.enqueue_many([use.call(), use.call()])
    await drain(app)
    assert events == ["enter", "pool False", "pool False", "leave"]


async def test_a_lifespan_may_yield_nothing(app: Aarq) -> None:
    """None stands for no keys."""

    @asynccontextmanager
    async def lifespan(_: Aarq) -> AsyncGenerator[None, None]:
        yield

    app.lifespan = lifespan

    @app.task
    async def use(ctx: dict[str, Any]) -> list[str]:
        return sorted(ctx)

    job = await use.enqueue()
    await drain(app)
    assert "worker_id" in await job.result(timeout=5)


async def test_a_lifespan_that_fails_is_no_riddle(app: Aarq) -> None:
    """Its own error leaves `run`, in no group, and no job is touched."""

    @asynccontextmanager
    async def lifespan(_: Aarq) -> AsyncGenerator[None, None]:
        raise ConnectionError("no database")
        yield

    app.lifespan = lifespan
    with pytest.raises(ConnectionError, match="no database"):
        await drain(app)


async def test_a_plain_function_runs_in_a_thread(app: Aarq) -> None:
    """It does not block the event loop, and its result and errors count like any other's."""

    @app.task
    def where_am_i(_: object) -> bool:
        return threading.current_thread() is threading.main_thread()

    job = await where_am_i.enqueue()
    await drain(app)
    assert await job.result(timeout=5) is False


async def test_plain_functions_run_side_by_side(app: Aarq) -> None:
    """There is a thread for every slot."""
    barrier = threading.Barrier(3, timeout=5)

    @app.task
    def meet(_: object) -> int:
        return barrier.wait()

    jobs = await meet.enqueue_many([meet.call() for _ in range(3)])
    await drain(app, concurrency=3)
    assert sorted([await job.result(timeout=5) for job in jobs]) == [0, 1, 2]


async def test_a_plain_wrapper_of_an_async_function_is_awaited(app: Aarq) -> None:
    """A decorator that forgets to be async costs nothing: the body runs, in the event loop."""

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


async def test_context_variables_do_not_leak_between_jobs(app: Aarq) -> None:
    """What one job sets no other sees, nor does the worker."""

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


async def test_context_variables_reach_threads(app: Aarq) -> None:
    """A plain function sees the context of its own job."""

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


async def test_only_the_workers_queues_are_served(app: Aarq) -> None:
    """Jobs of other queues stay where they are."""

    @app.task(queue="a")
    async def a(_: object) -> None: ...

    @app.task(queue="b")
    async def b(_: object) -> None: ...

    first, second = await a.enqueue(), await b.enqueue()
    await drain(app, queues=["b"])
    assert (await first.state(), await second.state()) == (JobState.PENDING, JobState.COMPLETED)


async def test_a_higher_priority_runs_first(app: Aarq) -> None:
    """Of the jobs that wait the highest priority is taken, then the oldest."""
    order: list[str] = []

    @app.task
    async def note(_: object, name: str) -> None:
        order.append(name)

    await note.options(priority=1).enqueue("low")
    await note.enqueue("first")
    await note.enqueue("second")
    await note.options(priority=9).enqueue("high")
    await drain(app, concurrency=1)
    assert order == ["high", "first", "second", "low"]


async def test_a_deferred_job_waits(clock: VirtualClock) -> None:
    """`defer_by` and `defer_until` are kept to the moment, on the broker's clock."""
    app = Aarq(FlakyBroker(clock=clock))
    ran: list[tuple[str, float]] = []

    @app.task
    async def note(_: object, name: str) -> None:
        ran.append((name, clock.monotonic()))

    async with working(app, clock=clock):
        await note.options(defer_by=timedelta(seconds=60)).enqueue("by")
        await note.options(defer_until=datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)).enqueue("until")
        await note.options(defer_until=datetime(2020, 1, 1, tzinfo=UTC)).enqueue("past")
        await clock.advance(59)
        assert ran == [("past", 0), ("until", 30)]
        await clock.advance(1)
    assert ran[2:] == [("by", 60)]


async def test_results_are_kept_for_their_time(clock: VirtualClock) -> None:
    """`result_ttl` seconds after its end nothing is left of a job, and its id is free again."""
    app = Aarq(FlakyBroker(clock=clock))

    @app.task(result_ttl=60)
    async def work(_: object, n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return n

    good, bad = await work.options(job_id="good").enqueue(1), await work.options(job_id="bad").enqueue(-1)
    await drain(app)
    await clock.advance(59)
    assert (await good.state(), await bad.state()) == (JobState.COMPLETED, JobState.FAILED)
    await clock.advance(2)
    assert (await good.info(), await bad.info()) == (None, None)
    await work.options(job_id="good").enqueue(2)


async def test_a_burst_ends_when_nothing_is_due(app: Aarq) -> None:
    """A burst runs what is due, and what that enqueues; it does not wait for delayed jobs."""

    @app.task
    async def chain(_: object, left: int) -> None:
        if left:
            await chain.enqueue(left - 1)

    await chain.enqueue(3)
    later = await chain.options(defer_by=600).enqueue(0)
    await drain(app)
    assert await later.state() is JobState.SCHEDULED


async def test_a_burst_runs_retries_that_are_due(app: Aarq) -> None:
    """An attempt that comes without delay belongs to the burst."""
    attempts: list[int] = []

    @app.task(retries=2)
    async def stubborn(ctx: dict[str, Any]) -> None:
        attempts.append(ctx["attempt"])
        raise Retry(delay=0)

    await stubborn.enqueue()
    await drain(app)
    assert attempts == [1, 2, 3]


async def test_a_burst_fires_no_crons(app: Aarq, clock: VirtualClock) -> None:
    """Crons are for workers that stay."""
    fired: list[object] = []
    app.cron("every 1")(fired.append)

    @app.task
    async def wait(_: object) -> None:
        await clock.advance(5)

    await wait.enqueue()
    await drain(app, clock=clock)
    assert fired == []


async def test_a_task_may_be_called_without_a_broker(app: Aarq) -> None:
    """Calling the task runs the function here and now."""

    @app.task
    async def add(_: object, a: int, b: int) -> int:
        return a + b

    @app.task
    def thread(_: object) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await add({}, 1, b=2) == 3
    assert await thread({}) is False


async def test_the_broker_knows_the_worker(app: Aarq, broker: FlakyBroker) -> None:
    """While it is up the worker is listed with what it does, and afterwards it is not."""
    release = anyio.Event()

    @app.task
    async def wait(_: object) -> None:
        await release.wait()

    async with working(app, id="w1", concurrency=3) as worker:
        await until(lambda: broker.calls["heartbeat"])
        await settle_down()
        (info,) = await broker.list_workers()
        assert (info.id, info.queues, info.concurrency, info.running) == ("w1", ("default",), 3, 0)
        assert worker.id == "w1"
        release.set()
    assert await broker.list_workers() == []


async def test_names_of_workers_differ() -> None:
    """Workers of one host get ids of their own, made of characters every broker takes."""
    app = Aarq(FlakyBroker())
    one, two = Worker(app).id, Worker(app).id
    assert one != two
    Worker(app, id=one)


async def test_the_retried_job_is_the_same_job(app: Aarq, broker: FlakyBroker) -> None:
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


async def test_foreign_jobs_are_run_by_name(app: Aarq, broker: FlakyBroker) -> None:
    """A job that another program wrote needs no more than the task's name and JSON."""

    @app.task(name="say")
    async def say(_: object, word: str, times: int = 1) -> str:
        return word * times

    await broker.enqueue([NewJob(id="j", task="say", queue="default", payload=b'{"times": 2, "word": "ho"}')])
    await drain(app)
    assert await say.job("j").result(timeout=5) == "hoho"
