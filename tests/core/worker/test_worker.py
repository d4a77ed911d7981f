# pyright: reportPrivateUsage=false
"""The worker as a whole: lifespan, ids, tables, and what it logs at start and end."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Worker
from aioq.testing import VirtualClock
from aioq.worker.shutdown import race
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, settle_down, working


async def _nothing(_: object) -> None: ...


async def test_worker_lifespan_surrounds_all_jobs(app: Aarq) -> None:
    """A worker enters the lifespan once, adds its keys to every context, and leaves it at the end."""
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


async def test_worker_lifespan_may_yield_none(app: Aarq) -> None:
    """A lifespan that yields None adds no keys."""

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


async def test_worker_lifespan_error_propagates(app: Aarq) -> None:
    """`run` raises the lifespan's own exception, in no group, and claims no job."""

    @asynccontextmanager
    async def lifespan(_: Aarq) -> AsyncGenerator[None, None]:
        raise ConnectionError("no database")
        yield

    app.lifespan = lifespan
    with pytest.raises(ConnectionError, match="no database"):
        await drain(app)


async def test_worker_burst_fires_no_crons(app: Aarq, clock: VirtualClock) -> None:
    """A burst fires no crons."""
    fired: list[object] = []
    app.cron("every 1")(fired.append)

    @app.task
    async def wait(_: object) -> None:
        await clock.advance(5)

    await wait.enqueue()
    await drain(app, clock=clock)
    assert fired == []


async def test_worker_default_ids_differ() -> None:
    """Workers of one host have different ids, made of characters that every broker accepts."""
    app = Aarq(FlakyBroker())
    one, two = Worker(app).id, Worker(app).id
    assert one != two
    Worker(app, id=one)


async def test_worker_unresolved_annotation_raises_at_start(app: Aarq) -> None:
    """A task whose annotations cannot be resolved raises when the worker starts, and the message names the task."""

    async def work(_: object, x: Any) -> None: ...

    work.__annotations__["x"] = "NoSuchType"
    app.task(name="work")(work)
    with pytest.raises(TypeError, match="^task work: an annotation cannot be resolved"):
        await drain(app)


async def test_worker_broker_unreachable_at_start_raises(app: Aarq, broker: FlakyBroker) -> None:
    """`run` raises the broker's error if the broker cannot be reached at the start."""
    broker.go_down()
    with pytest.raises(Exception, match="^connection refused$"):
        await Worker(app, handle_signals=False).run()


async def test_worker_start_and_end_are_logged(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """The worker logs its id, queues, slots, tasks and crons at the start, and its end."""
    caplog.set_level(logging.INFO)
    app.task(queue="mail", name="a")(_nothing)
    async with working(app, id="w1", concurrency=3):
        await settle_down()
    assert caplog.messages[0] == "worker w1 started: queues mail, 3 at a time, 1 tasks, 0 crons, MemoryBroker(0 jobs)"
    assert caplog.messages[-1] == "worker w1 stopped"


async def test_race_first_end_cancels_others() -> None:
    """The first wait that ends cancels the others, and an error of one is raised."""
    await race(anyio.sleep_forever, anyio.lowlevel.checkpoint, anyio.sleep_forever)

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ExceptionGroup) as caught:
        await race(anyio.sleep_forever, fail)
    assert caught.group_contains(ValueError, match="no")


async def test_worker_after_many_jobs_has_empty_tables(app: Aarq, broker: FlakyBroker) -> None:
    """No table has grown after a thousand jobs that ended in every way."""

    @app.task(retries=1, retry_delay=0, save_result=False)
    async def work(ctx: dict[str, Any], n: int) -> None:
        if n % 3 == 0 and ctx["attempt"] == 1:
            raise ValueError("again")
        if n % 7 == 0:
            await broker.cancel_job(ctx["job_id"], queue="default")

    await work.enqueue_many(work.call(n) for n in range(1000))
    worker = Worker(app, burst=True, handle_signals=False, concurrency=50)
    with anyio.fail_after(10):
        await worker.run()
    assert worker._slots.free == 50
    assert len(worker._leases) == 0
    assert worker._runner._running == {}
    assert worker._settler._waiting == []
    assert broker._latest_claims == {}
    assert broker._table.waiters._waits == {}
    assert broker._table.waiters._aborts == {}
