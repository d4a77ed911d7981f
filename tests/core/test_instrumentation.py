"""What an instrumentation sees of enqueues, runs and ticks, and what it may change."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import pytest

from aioq import Aarq, BrokerUnavailable, JobContext
from aioq.instrumentation import Enqueue, Run, TickRun
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import Hold, drain, settle_down, working

trace: ContextVar[str] = ContextVar("trace", default="none")


class Recorder:
    """Writes down what it is called around, and sends a header with each job."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.header = "1"

    @contextmanager
    def enqueueing(self, enqueue: Enqueue) -> Generator[None]:
        """Send the header."""
        enqueue.headers["trace"] = self.header
        try:
            yield
        finally:
            kind = "batch" if enqueue.batch else "single"
            self.seen.append(f"enqueued {kind} {len(enqueue.jobs)} {enqueue.is_new}")

    @contextmanager
    def running(self, run: Run) -> Generator[None]:
        """Set the context variable."""
        token = trace.set((run.lease.headers or {}).get("trace", "none"))
        yield
        trace.reset(token)
        self.seen.append(f"ran {run.lease.attempt} {run.outcome} {type(run.error).__name__}")

    @contextmanager
    def ticking(self, tick: TickRun) -> Generator[None]:
        """Set the context variable."""
        token = trace.set(f"{tick.name} at {tick.tick.second}")
        yield
        trace.reset(token)
        self.seen.append(f"ticked {type(tick.error).__name__} {tick.interrupted}")


class Broken:
    """Raises when it is entered, or when it is left."""

    def __init__(self, *, entering: bool) -> None:
        self.entering = entering

    @contextmanager
    def enqueueing(self, enqueue: Enqueue) -> Generator[None]:
        """Raise."""
        if self.entering:
            raise RuntimeError("broken")
        yield
        raise RuntimeError("broken")

    @contextmanager
    def running(self, run: Run) -> Generator[None]:
        """Raise."""
        if self.entering:
            raise RuntimeError("broken")
        yield
        raise RuntimeError("broken")

    ticking: Any = running


class Swallower:
    """Tries to swallow what is raised inside."""

    @contextmanager
    def enqueueing(self, enqueue: Enqueue) -> Generator[None]:
        """Swallow."""
        with suppress(BrokerUnavailable):
            yield

    running: Any = enqueueing
    ticking: Any = enqueueing


@pytest.fixture
def recorder(app: Aarq) -> Recorder:
    """An instrumentation of the app."""
    recorder = Recorder()
    app.instrument(recorder)
    return recorder


async def test_instrument_is_called_around_enqueues(app: Aarq, recorder: Recorder) -> None:
    """It is entered before the broker is called, and has the broker's answer when it is left."""

    @app.task
    async def work(ctx: JobContext) -> None: ...

    call = work.call()
    await work.enqueue()
    await app.enqueue_many([call, work.call()])
    await app.enqueue_many([call])
    await app.enqueue_many([])
    assert recorder.seen == ["enqueued single 1 [True]", "enqueued batch 2 [True, True]", "enqueued batch 1 [False]"]


async def test_instrument_headers_reach_the_run_beside_own_ones(app: Aarq, recorder: Recorder) -> None:
    """The headers of the instrumentation are sent beside those of the caller, also in threads it sees its context."""
    seen: list[tuple[str, dict[str, str]]] = []

    @app.task
    async def in_loop(ctx: JobContext) -> None:
        seen.append((trace.get(), dict(ctx["headers"])))

    @app.task
    def in_thread(ctx: JobContext) -> None:
        seen.append((trace.get(), dict(ctx["headers"])))

    await in_loop.options(headers={"own": "2"}).enqueue()
    await drain(app)
    await in_thread.enqueue()
    await drain(app)
    assert seen == [("1", {"own": "2", "trace": "1"}), ("1", {"trace": "1"})]
    assert trace.get() == "none"


async def test_instrument_headers_that_are_too_long_are_left_out(
    app: Aarq, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """A job whose headers would exceed the limit is sent with its own ones, and that is logged."""
    recorder.header = "x" * 8192

    @app.task
    async def work(ctx: JobContext) -> dict[str, str]:
        return dict(ctx["headers"])

    job = await work.options(headers={"own": "2"}).enqueue()
    await drain(app)
    assert await job.result(timeout=5) == {"own": "2"}
    (record,) = [record for record in caplog.records if record.name == "aioq.instrumentation"]
    assert record.getMessage().startswith(f"job {job.id} is sent without the headers of the instrumentation: ")


async def test_instrument_sees_how_each_run_ends(app: Aarq, recorder: Recorder) -> None:
    """A run has the outcome that the worker reports, and the exception of a failed attempt."""

    @app.task(retries=1, retry_delay=0)
    async def fail(ctx: JobContext) -> None:
        raise ValueError

    @app.task(timeout=0.001)
    async def hang(ctx: JobContext) -> None:
        await hold.release.wait()

    hold = Hold(app)
    await fail.enqueue()
    await drain(app)
    await hang.enqueue()
    await drain(app)
    assert [text for text in recorder.seen if text.startswith("ran")] == [
        "ran 1 job_retried ValueError",
        "ran 2 job_failed ValueError",
        "ran 1 job_failed TimeoutError",
    ]


async def test_instrument_sees_cancelled_and_released_runs(app: Aarq, recorder: Recorder) -> None:
    """A run that a client cancels, and one that the worker gives back as it stops, have no error."""
    hold = Hold(app)
    job = await hold.task.enqueue()
    async with working(app, abort=True):
        await hold.started.wait()
        assert await job.cancel()
        while not recorder.seen[1:]:
            await settle_down()
        again = await hold.task.enqueue()
        while len(hold.attempts) < 2:
            await settle_down()
    assert [text for text in recorder.seen if text.startswith("ran")] == [
        "ran 1 job_cancelled NoneType",
        "ran 1 job_released NoneType",
    ]
    assert await again.state() == "pending"


@pytest.mark.parametrize("unique", [False, True])
async def test_instrument_is_called_around_calls_of_crons(clock: VirtualClock, app: Aarq, unique: bool) -> None:
    """It sees entry, tick and error of each call, and the function sees its context."""
    app = Aarq(FlakyBroker(clock=clock), scheduler=app.scheduler)
    recorder = Recorder()
    app.instrument(recorder)
    seen: list[str] = []

    @app.cron("every 5", name="entry", unique=unique)
    async def entry(_: object) -> None:
        seen.append(trace.get())
        raise ValueError

    async with working(app, clock=clock):
        await clock.advance(6)
    assert seen == ["entry at 5"]
    assert recorder.seen == ["ticked ValueError "]


@pytest.mark.parametrize("entering", [True, False])
async def test_instrument_that_raises_harms_no_job(app: Aarq, entering: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What an instrumentation raises is logged, the job is stored and run, and others are called."""
    recorder = Recorder()
    for one in (Broken(entering=entering), recorder, Broken(entering=entering)):
        app.instrument(one)

    @app.task
    async def work(ctx: JobContext) -> int:
        return 1

    job = await work.enqueue()
    await drain(app)
    assert await job.result(timeout=5) == 1
    assert len(recorder.seen) == 2
    logged = [record for record in caplog.records if record.name == "aioq.instrumentation"]
    assert len(logged) == 4
    assert {record.levelno for record in logged} == {logging.ERROR}


async def test_instrument_sees_errors_of_the_broker_and_cannot_swallow_them(app: Aarq, broker: FlakyBroker) -> None:
    """An enqueue that fails raises at its caller, whatever the instrumentation does, and has no answer."""
    recorder = Recorder()
    app.instrument(recorder)
    app.instrument(Swallower())

    @app.task
    async def work(ctx: JobContext) -> None: ...

    await app.connect()
    broker.fail("enqueue", BrokerUnavailable("connection refused"))
    with pytest.raises(BrokerUnavailable, match="connection refused"):
        await work.enqueue()
    assert recorder.seen == ["enqueued single 1 None"]
