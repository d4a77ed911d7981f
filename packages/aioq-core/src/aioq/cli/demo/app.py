"""The demo: an app, a worker and a few jobs, and a report of what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from aioq.app import Aarq
from aioq.backends.memory import MemoryBroker
from aioq.clock import Clock, SystemClock
from aioq.context import CronContext, JobContext
from aioq.cron import CronEntry
from aioq.errors import AioqError
from aioq.task import Call, Task
from aioq.worker import Worker

__all__ = ["DELAY", "FAILURES", "Demo", "DemoReport"]

DELAY: Final = 3.0
"""Seconds by which the job of `remind` is delayed."""

FAILURES: Final = 2
"""Attempts of `fetch` that fail, a second apart."""

NAMES: Final = ("Ada", "Grace", "Barbara")

ROUNDING: Final = 1e-5
"""Seconds by which a time may be off, because datetimes have whole microseconds."""


@dataclass(slots=True)
class DemoReport:
    """Counts what happened. Durations are in seconds."""

    jobs: int
    """Jobs that were enqueued."""
    retries: int
    """Attempts that fail on purpose."""
    due: int = 0
    """Ticks of the cron that came due."""
    ticks: dict[datetime, list[float]] = field(default_factory=dict[datetime, list[float]])
    """How late each run of the cron was, by its tick."""
    completed: int = 0
    failed_attempts: int = 0
    delayed: list[float] = field(default_factory=list[float])
    """How late each delayed job started."""

    def lines(self) -> list[tuple[str, str]]:
        """Return the summary as pairs of a heading and a text."""
        late = [seconds for runs in self.ticks.values() for seconds in runs]
        return [
            ("cron runs", f"{len(late)} of {self.due} due{_lateness(late)}"),
            ("jobs completed", f"{self.completed} of {self.jobs}"),
            ("retries", f"{self.failed_attempts} attempts that failed on purpose, each retried after 1 s"),
            ("delayed jobs", f"{len(self.delayed)}{_lateness(self.delayed)}"),
        ]

    def faults(self) -> Iterator[str]:
        """Yield every difference from what should have happened."""
        late = [seconds for runs in self.ticks.values() for seconds in runs]
        if len(self.ticks) != self.due:
            yield f"{self.due} cron runs were due and {len(self.ticks)} happened"
        if len(late) != len(self.ticks):
            yield "a tick fired twice"
        if min([0.0, *late, *self.delayed]) < -ROUNDING:
            yield "a run started before its time"
        if self.completed != self.jobs:
            yield f"{self.jobs - self.completed} jobs did not complete"
        if self.failed_attempts != self.retries:
            yield f"{self.failed_attempts} attempts failed, not {self.retries}"
        if len(self.delayed) != 1:
            yield f"the delayed job ran {len(self.delayed)} times"


class Demo:
    """An app on the memory broker with tasks and crons that report what they do.

    Args:
        log: Called with the kind, the name and the text of each event.
        clock: The clock of the broker and the worker; the host's if None.

    Raises:
        DiscoveryError: aioq-cron is not installed; says what to install.
    """

    def __init__(self, log: Callable[[str, str, str], None], *, clock: Clock | None = None) -> None:
        self._log = log
        self._clock = clock or SystemClock()
        self.app = Aarq(MemoryBroker(clock=self._clock))
        self.report = DemoReport(jobs=len(NAMES) + 2, retries=FAILURES)
        self._add_crons()
        self._greet: Task[[str], str] = self.app.task(name="greet")(self._run_greet)
        self._fetch: Task[[str], int] = self.app.task(
            name="fetch", retries=FAILURES, retry_delay=1.0, backoff="constant", jitter=0.0
        )(self._run_fetch)
        self._remind: Task[[str], str] = self.app.task(name="remind")(self._run_remind)

    @property
    def documented_crons(self) -> list[CronEntry]:
        """The crons of the example in the documentation."""
        return [entry for entry in self.app.crons if entry.name != "tick"]

    async def run(self, seconds: float) -> None:
        """Enqueue the jobs and run a worker for some time."""
        worker = Worker(self.app, handle_signals=False, clock=self._clock)
        async with self.app, anyio.create_task_group() as tg:
            # Start half a second away from the nearest tick: so the number of ticks does not depend on a few ms.
            await self._clock.sleep((0.5 - self._clock.time()) % 1)
            tg.start_soon(worker.run)
            await self._enqueue(tg)
            await self._clock.sleep(seconds)
            # One tick a second, the first of them half a second after the start.
            self.report.due = round(seconds)
            worker.stop()

    def _add_crons(self) -> None:
        add = self.app.cron
        add("*/5 * * * *", name="cleanup_old_jobs")(self._run_documented)
        add("0 9 * * 1-5", queue="reports", name="send_daily_report")(self._run_documented)
        add("0 0 1 * *", name="monthly_summary")(self._run_documented)
        # By name, because core must not import the package. It is installed: the app found it by its entry point.
        every_second = import_module("aioq_cron").Every(timedelta(seconds=1))
        add(every_second, name="tick")(self._run_tick)

    async def _enqueue(self, tg: TaskGroup) -> None:
        calls: list[Call[Any]] = [
            *(self._greet.call(name) for name in NAMES),
            self._fetch.call("example.org"),
            self._remind.options(defer_by=DELAY).call("tea"),
        ]
        for call in calls:
            # Each in a task of its own, so that results show in the order in which they come.
            tg.start_soon(partial(self._follow, call))
        self._log("app", "enqueue", f"{len(calls)} jobs: {len(NAMES)} greet, 1 fetch, 1 remind ({DELAY:g} s later)")

    async def _follow(self, call: Call[Any]) -> None:
        """Enqueue a job and wait for its result, like a client."""
        (job,) = await self.app.enqueue_many([call])
        try:
            result = await job.result()
        except AioqError as error:
            self._log("app", call.task.name, f"no result: {error}")
        else:
            self.report.completed += 1
            self._log("app", call.task.name, f"result: {result!r}")

    async def _run_documented(self, ctx: CronContext) -> None:
        self._log("cron", ctx["cron_name"], "fired during the demo")

    async def _run_tick(self, ctx: CronContext) -> None:
        late = (ctx["fired_at"] - ctx["scheduled_at"]).total_seconds()
        self.report.ticks.setdefault(ctx["scheduled_at"], []).append(late)
        self._log("cron", "tick", f"due at {ctx['scheduled_at']:%H:%M:%S} UTC, fired {late * 1000:.1f} ms later")

    async def _run_greet(self, ctx: JobContext, name: str) -> str:
        self._log("job", "greet", f"runs for {name}")
        return f"Hello, {name}!"

    async def _run_fetch(self, ctx: JobContext, host: str) -> int:
        if ctx["attempt"] <= FAILURES:
            self.report.failed_attempts += 1
            self._log("job", "fetch", f"attempt {ctx['attempt']}: connection refused; retried in 1 s")
            raise ConnectionError("connection refused")
        self._log("job", "fetch", f"attempt {ctx['attempt']}: {host} answers")
        return 200

    async def _run_remind(self, ctx: JobContext, what: str) -> str:
        late = self._clock.time() - ctx["enqueued_at"].timestamp() - DELAY
        self.report.delayed.append(late)
        self._log("job", "remind", f"runs {DELAY:g} s after its enqueue, {late * 1000:.1f} ms late")
        return f"Time for {what}"


def _lateness(seconds: list[float]) -> str:
    return f", at most {max(seconds) * 1000:.1f} ms late" if seconds else ""
