"""Records one walk: `python -m tests.architecture.record WALK FOLDER...` prints its recordings as JSON.

The packages are imported from the folders, which stand first on the import path, and only by their public API. The
broker's URL comes in the variable WALK_URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import runpy
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aioq
from aioq import Aarq, Task, Worker
from aioq_cron import CronExpression
from tests.architecture.recorder import Recorder, RoundSelector

__all__ = ["WALKS", "main"]

URL = os.environ.get("WALK_URL", "memory://")
REPEATS = 5
"""Recordings of what happens many times. A duty that falls into one of them does not fall into all."""

QUIET = 0.3
"""Seconds without a step after which a walk is over: longer than ended ticks wait to be recorded together."""

LATER = 0.5
"""Seconds after a walk during which the broker must learn nothing new of it."""

SPEED = 20
"""How many times as fast the time of a hastened schedule runs: a minute passes in three seconds."""


async def enqueue(recorder: Recorder) -> None:
    """Record `await task.enqueue("Ada")` once everything that is set up by the first call is there."""
    app, greet = _app_and_task()
    async with app:
        for _ in range(3):
            await greet.enqueue("Ada")
        for _ in range(REPEATS):
            with recorder.recording():
                await greet.enqueue("Ada")


async def result(recorder: Recorder) -> None:
    """Record `await job.result()` of a job that has ended."""
    app, greet = _app_and_task()
    async with app:
        job = await greet.enqueue("Ada")
        await Worker(app, burst=True, handle_signals=False).run()
        for _ in range(REPEATS):
            with recorder.recording():
                await job.result()


async def job(recorder: Recorder) -> None:
    """Record the worker's part in jobs that are enqueued while it waits; the first recording is its first job."""
    app, _ = _app_and_task()
    async with _working(app, recorder):
        for _ in range(REPEATS):
            with recorder.recording():
                await asyncio.to_thread(_enqueue_and_wait)
                await recorder.wait_quiet(QUIET)


async def tick(recorder: Recorder) -> None:
    """Record the ticks of an entry that fires once for the fleet, each until the broker has its record."""
    app = Aarq(URL, name="walks")
    client = Aarq(URL, name="walks")
    schedule = Hastened(CronExpression("* * * * *"), datetime.now(UTC).replace(second=0, microsecond=0))
    ran = asyncio.Event()

    @app.cron(schedule, name="report", unique=True)
    async def report(ctx: Any) -> None:
        ran.set()

    async with client, _working(app, recorder):
        while len(recorder.recordings) < REPEATS:
            ran.clear()
            due = schedule.next_after(datetime.now(UTC) + timedelta(seconds=0.2))
            await asyncio.sleep((due - datetime.now(UTC)).total_seconds() - 0.05)
            with recorder.recording():
                await asyncio.wait_for(ran.wait(), 10)
                await recorder.wait_quiet(QUIET)
            before = await _statuses(client)
            await asyncio.sleep(LATER)
            after = await _statuses(client)
            if datetime.now(UTC) > schedule.next_after(due):
                recorder.recordings.pop()  # the machine is busy, and the next tick may be in the recording
            elif before != after:
                raise RuntimeError(f"the recording of a tick ended too early: {before} became {after}")


def cron_list(recorder: Recorder) -> None:
    """Record `aioq cron list APP`, with the app's module imported before."""
    import tests.architecture.recorded_app as module

    sys.argv = ["aioq", "cron", "list", f"{module.__name__}:app"]
    with contextlib.redirect_stdout(io.StringIO()) as printed, recorder.recording(), contextlib.suppress(SystemExit):
        runpy.run_module("aioq", run_name="__main__", alter_sys=True)
    if "report" not in printed.getvalue():
        raise RuntimeError(f"aioq cron list printed no entry: {printed.getvalue()}")


@dataclass(frozen=True, slots=True)
class Hastened:
    """A schedule whose ticks come twenty times as often: an expression has none within a minute.

    Args:
        schedule: The schedule, whose ticks are whole minutes.
        start: The moment from which time runs twenty times as fast; a whole minute, so that every tick is a whole
            second.
    """

    schedule: CronExpression
    start: datetime

    def next_after(self, instant: datetime) -> datetime:
        """Return the next tick."""
        following = self.schedule.next_after(self.start + (instant - self.start) * SPEED)
        if following is None:
            raise ValueError(f"{self.schedule} has no next tick")
        return self.start + (following - self.start) / SPEED

    def __str__(self) -> str:
        return f"{self.schedule}, twenty times as often"


@asynccontextmanager
async def _working(app: Aarq, recorder: Recorder) -> AsyncGenerator[None]:
    """Run a worker; begin when its startup is over."""
    worker = Worker(app, handle_signals=False)
    running = asyncio.ensure_future(worker.run())
    with recorder.recording():
        await recorder.wait_quiet(QUIET)
    recorder.recordings.clear()
    yield
    worker.stop()
    await running


def _app_and_task() -> tuple[Aarq, Task[[str], str]]:
    app = Aarq(URL, name="walks")

    @app.task(name="greet")
    async def greet(ctx: Any, name: str) -> str:
        return f"Hello {name}"

    return app, greet


def _enqueue_and_wait() -> None:
    """Enqueue a job and wait for its result, on a connection and in an event loop of this thread."""

    async def produce() -> None:
        app, greet = _app_and_task()
        async with app:
            job = await greet.enqueue("Ada")
            await job.result(timeout=30)

    asyncio.run(produce())


async def _statuses(app: Aarq) -> Sequence[object]:
    """Return what the broker knows of the entries of an app."""
    broker: Any = app.broker
    statuses: Sequence[object] = await broker.cron_statuses(app.name)
    return statuses


WALKS: Mapping[str, Callable[[Recorder], Coroutine[Any, Any, None] | None]] = {
    "enqueue": enqueue,
    "result": result,
    "job": job,
    "tick": tick,
    "cron-list": cron_list,
}


def main(walk: str, folders: Sequence[Path]) -> None:
    """Record a walk and print its recordings."""
    if not any(Path(aioq.__file__).is_relative_to(folder) for folder in folders):
        raise SystemExit(f"aioq was imported from {aioq.__file__}, not from the checkout that is to be recorded")
    recorder = Recorder(folders)
    if (running := WALKS[walk](recorder)) is not None:
        with asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(RoundSelector(recorder.end_round))
        ) as runner:
            runner.run(running)
    print(json.dumps(recorder.recordings))


if __name__ == "__main__":
    main(sys.argv[1], [Path(folder) for folder in sys.argv[2:]])
