"""Entries that every worker fires by itself: on time, in its event loop, whatever they raise."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Worker
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import settle_down, until, working
from tests.core.worker.cron.notes import Notes

HERE = "tests.core.worker.cron.test_local"
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


async def test_entry_fires_at_its_ticks(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """Each tick once, at its moment, until the worker stops."""
    app.cron("every 5")(notes)
    async with working(app, clock=clock):
        await clock.advance(17)
    await clock.advance(10)
    assert notes.began == [5, 10, 15]


async def test_context_has_worker_broker_and_tick(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """Worker and broker, which tick and when; no job_id, for there is no job."""
    app.cron("every 60", name="nightly")(notes)
    async with working(app, clock=clock, id="w1"):
        await clock.advance(60)
    assert notes.contexts == [
        {
            "worker_id": "w1",
            "broker": broker,
            "cron_name": "nightly",
            "scheduled_at": MIDNIGHT + timedelta(minutes=1),
            "fired_at": MIDNIGHT + timedelta(minutes=1),
            "args": (),
            "kwargs": {},
        }
    ]
    assert repr(broker) == "MemoryBroker(0 jobs)"


async def test_context_has_tick_in_zone_of_entry(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """The first tick of the year, read in a zone west of Greenwich, is of the year before."""
    app.cron("every 60", name="nightly", tz="America/New_York")(notes)
    async with working(app, clock=clock):
        await clock.advance(60)
    assert notes.contexts[0]["scheduled_at"].isoformat() == "2025-12-31T19:01:00-05:00"


async def test_context_has_values_of_lifespan(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """What the lifespan yields cron tasks see as well."""

    @asynccontextmanager
    async def lifespan(_: Aarq) -> AsyncGenerator[dict[str, Any], None]:
        yield {"db": "pool"}

    app.lifespan = lifespan
    app.cron("every 1")(notes)
    async with working(app, clock=clock):
        await clock.advance(1)
    assert notes.contexts[0]["db"] == "pool"


async def test_async_function_runs_in_event_loop(app: Aarq, clock: VirtualClock) -> None:
    """An async function is a task of the worker's loop; a plain one runs in a thread."""
    seen: dict[str, bool] = {}

    @app.cron("every 1")
    async def in_loop(_: object) -> None:
        seen["loop"] = threading.current_thread() is threading.main_thread()

    @app.cron("every 1")
    def in_thread(_: object) -> None:
        seen["thread"] = threading.current_thread() is threading.main_thread()

    async with working(app, clock=clock):
        await clock.advance(1)
    assert (seen, in_loop.__name__, in_thread.__name__) == ({"loop": True, "thread": False}, "in_loop", "in_thread")


async def test_entry_of_other_queue_does_not_fire(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """An entry with a queue is carried by the workers that consume it."""
    fired: list[str] = []
    app.cron("every 1", queue="reports", name="reports")(lambda ctx: fired.append(ctx["cron_name"]))
    app.cron("every 1", name="default")(notes)
    async with working(app, clock=clock, queues=["default"]):
        await clock.advance(3)
    assert (notes.began, fired) == ([1, 2, 3], [])


async def test_entry_fires_on_each_worker(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """Without `unique` every worker fires every tick, as documented."""
    app.cron("every 1")(notes)
    async with working(app, clock=clock, id="w1"), working(app, clock=clock, id="w2"):
        await clock.advance(2)
    assert notes.began == [1, 1, 2, 2]
    assert {ctx["worker_id"] for ctx in notes.contexts} == {"w1", "w2"}


async def test_slow_run_does_not_delay_next_tick(app: Aarq, clock: VirtualClock) -> None:
    """Ticks are fired on time, though the run before is still going."""
    started: list[float] = []

    @app.cron("every 1")
    async def slow(_: object) -> None:
        started.append(clock.monotonic())
        await clock.sleep(10)

    async with working(app, clock=clock) as worker:
        await clock.advance(3)
        worker.stop()
        worker.stop()
    assert (started, slow.__name__) == ([1, 2, 3], "slow")


async def test_jobs_take_no_slots_from_crons(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """With every slot taken crons fire on time."""
    release = anyio.Event()

    @app.task
    async def work(_: object) -> None:
        await release.wait()

    app.cron("every 1")(notes)
    await work.enqueue()
    async with working(app, clock=clock, concurrency=1):
        await clock.advance(2)
        assert notes.began == [1, 2]
        release.set()


async def fail(_: object) -> None:
    """Fail as the documentation says."""
    raise ConnectionError("connection refused")


async def test_failed_run_is_logged_and_next_tick_fires(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line at ERROR on aioq.worker with module, function and error, and the traceback."""
    app.cron("every 1")(fail)
    async with working(app, clock=clock):
        await clock.advance(2)
    line = f"Cron task {HERE}.fail failed: connection refused"
    assert caplog.record_tuples == [("aioq.worker", logging.ERROR, line)] * 2
    assert "ConnectionError: connection refused" in caplog.text
    assert caplog.records[0].exc_info is not None


async def test_failed_run_log_line_is_as_documented(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With the worker's log format it reads as the documentation shows it."""
    app.cron("every 1", name="another-name")(fail)
    async with working(app, clock=clock):
        await clock.advance(1)
    shown = logging.Formatter("%(levelname)s %(name)s: %(message)s").format(caplog.records[0]).splitlines()[0]
    assert shown == f"ERROR aioq.worker: Cron task {HERE}.fail failed: connection refused"


class Mute(Exception):
    """Raises when it is asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("no comment")


@pytest.mark.parametrize("threaded", [False, True], ids=["async", "thread"])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(), "ValueError"),
        (KeyError("total"), "KeyError: 'total'"),
        (OSError("connection refused"), "connection refused"),
        (ValueError("a\r\nb\x1b"), "ValueError: a\\r\\nb\\x1b"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError("mine"), "CancelledError: mine"),
        (Mute(), "(no message: the exception's __str__ raises)"),
        (ExceptionGroup("two", [ValueError("a")]), "two (1 sub-exception): ValueError: a"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_any_exception_ends_only_its_run(
    app: Aarq, clock: VirtualClock, notes: Notes, caplog: pytest.LogCaptureFixture,
    error: BaseException, text: str, threaded: bool,
) -> None:  # fmt: skip
    """Even what would end a program ends only that run."""

    async def body(_: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    def thread(_: object) -> None:
        raise error

    def heard(runs: int) -> bool:
        return len(caplog.messages) == runs

    app.cron("every 1", name="bad")(thread if threaded else body)
    app.cron("every 1", name="good")(notes)
    async with working(app, clock=clock):
        for runs in (1, 2):
            await clock.advance(1)
            await until(partial(heard, runs))
    assert notes.began == [1, 2]
    assert [message.rpartition(" failed: ")[2] for message in caplog.messages] == [text, text]


async def test_failed_object_is_logged_by_class(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A callable object that fails goes by the name of its class."""

    class Broken:
        async def __call__(self, _: object) -> None:
            raise ValueError("no")

    app.cron("every 1", name="broken")(Broken())
    async with working(app, clock=clock):
        await clock.advance(1)
    assert caplog.messages == [f"Cron task {HERE}.test_failed_object_is_logged_by_class.Broken failed: ValueError: no"]


async def test_plain_function_result_is_awaited(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """A plain function that returns something to await has it awaited."""
    app.cron("every 1", name="wrapped")(lambda ctx: notes(ctx))  # noqa: PLW0108  # a wrapper is the point
    async with working(app, clock=clock):
        await clock.advance(1)
    assert len(notes.began) == 1


async def test_failed_loop_is_started_again(
    app: Aarq, clock: VirtualClock, notes: Notes, scheduler: PlainScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """A scheduler whose loop raises, or ends, costs a second, and a line with the traceback."""
    scheduler.breaks = 1
    app.cron("every 5")(notes)
    async with working(app, clock=clock):
        await clock.advance(12)
    assert (notes.began, scheduler.runs) == ([10], 2)
    assert caplog.messages == ["the cron loop failed and is started again"]
    assert "RuntimeError: the loop broke" in caplog.text


async def test_stop_fires_no_more_ticks(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """After the first stop no tick is fired, though jobs are still running."""
    release = anyio.Event()

    @app.task
    async def work(_: object) -> None:
        await release.wait()

    app.cron("every 1")(notes)
    await work.enqueue()
    async with working(app, clock=clock, grace=3600) as worker:
        await clock.advance(2)
        worker.stop()
        await clock.advance(10)
        release.set()
    assert notes.began == [1, 2]


async def test_stop_does_not_wait_for_claim_that_hangs(clock: VirtualClock, notes: Notes) -> None:
    """The answer to a claim may take seconds; ticks do not fire meanwhile."""
    claiming, answer = anyio.Event(), anyio.Event()

    class Slow(FlakyBroker):
        async def claim(self, request: Any) -> Any:
            claiming.set()
            await answer.wait()
            return await super().claim(request)

    app = Aarq(Slow(clock=clock), scheduler=PlainScheduler())
    app.cron("every 1")(notes)
    async with working(app, clock=clock) as worker:
        await claiming.wait()
        await clock.advance(2)
        worker.stop()
        await clock.advance(3)
        answer.set()
    assert notes.began == [1, 2]


async def test_stop_lets_run_end(app: Aarq, clock: VirtualClock) -> None:
    """The first stop waits for it, up to the grace."""
    ended: list[float] = []

    @app.cron("every 1")
    async def slow(_: object) -> None:
        await clock.sleep(10)
        ended.append(clock.monotonic())

    async with working(app, clock=clock, grace=25) as worker:
        await clock.advance(1)
        worker.stop()
        await clock.advance(10)
    assert (ended, slow.__name__) == ([11], "slow")


@pytest.mark.parametrize("how", ["second stop", "grace over", "cancelled"])
async def test_abort_cancels_run(app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture, how: str) -> None:
    """A run that is cancelled with its worker has not failed, and nothing is logged."""
    events: list[str] = []

    @app.cron("every 1")
    async def slow(_: object) -> None:
        events.append("start")
        try:
            await anyio.sleep_forever()
        finally:
            events.append("end")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tg:
            worker = Worker(app, clock=clock, grace=25, handle_signals=False)
            tg.start_soon(worker.run)
            await clock.advance(1)
            if how == "cancelled":
                tg.cancel_scope.cancel()
            else:
                worker.stop()
                await settle_down()
                if how == "second stop":
                    worker.stop()
                await clock.advance(25)
    assert (events, slow.__name__) == (["start", "end"], "slow")
    assert caplog.messages == []


async def test_stop_does_not_lose_fired_tick(app: Aarq, clock: VirtualClock) -> None:
    """What was fired runs, though the stop comes before its first step."""
    ended: list[str] = []
    workers: list[Worker] = []

    class Eager(PlainScheduler):
        async def run(self, entries: Any, fire: Callable[[Any], None], *, clock: Any) -> None:
            def fire_and_stop(tick: Any) -> None:
                fire(tick)
                workers[0].stop()

            await super().run(entries, fire_and_stop, clock=clock)

    app = Aarq(FlakyBroker(clock=clock), scheduler=Eager())

    @app.cron("every 1")
    async def quick(_: object) -> None:
        await anyio.lowlevel.checkpoint()
        ended.append("yes")

    async with working(app, clock=clock) as worker:
        workers.append(worker)
        await clock.advance(1)
    assert (ended, quick.__name__) == (["yes"], "quick")


async def test_entries_fire_with_minimal_broker(clock: VirtualClock, notes: Notes) -> None:
    """Entries that every worker fires work on a broker without a ledger."""
    app = Aarq(BareBroker(), scheduler=PlainScheduler())
    app.cron("every 1")(notes)
    async with working(app, clock=clock, poll=1):
        await clock.advance(2)
    assert notes.began == [1, 2]
