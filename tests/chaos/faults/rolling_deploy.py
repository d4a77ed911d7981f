"""A rolling deploy: a version that keeps, changes, removes and adds entries replaces another, worker by worker.

It also adds a task, and its jobs are enqueued while only old workers run. These hand the jobs back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq.errors import JobEnded, ResultTimeout
from aioq.model.cron import CronStatus
from aioq.model.job import JobRecord
from aioq.model.states import JobState
from tests.chaos import cron_ledger
from tests.chaos.apps.factory import KINDS, environment
from tests.chaos.apps.versions import RETRIES, VERSIONS, define_added_task
from tests.chaos.disruptions import wait_until
from tests.chaos.fleet import Fleet, WorkerProcess
from tests.chaos.run_log import Run, RunLog
from tests.chaos.tick_figures import TickFigures, count_ticks, expected_ticks
from tests.redis.layout import assert_consistent
from tests.servers import RedisServer, found

__all__ = ["FULL", "SMALL", "AddedTask", "Deploy", "Plan", "Result", "run", "status_rows"]

APP = "tests.chaos.apps.deploy:app"
NAMESPACE = "redeploy"
ADDED_JOBS = 50
LONGEST = 75.0
"""Seconds after which a job that was handed back three times is due again, with some to spare."""
CHANGES = ("kept", "changed", "removed", "added")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The number of workers, and the seconds between two steps of the deploy."""

    workers: int
    pause: float


FULL = Plan(workers=5, pause=6)
SMALL = Plan(workers=2, pause=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one entry."""

    entry: str
    before: TickFigures
    """Ticks of the old version until its first new worker was started."""
    after: TickFigures
    """Ticks of the new version since its first worker was up."""
    double: int
    """Number of ticks that fired more than once."""
    old_after: int
    """Runs after the new version was up for ticks that only the old version has."""

    def row(self) -> dict[str, object]:
        """Return the result as a row of a table."""
        return {
            "entry": self.entry,
            "before": f"{self.before.fires} of {self.before.ticks}",
            "after": f"{self.after.fires} of {self.after.ticks}",
            "double": self.double,
            "old schedule, after": self.old_after,
            "late max s": max(self.before.late, self.after.late),
        }

    def missed_bars(self) -> list[str]:
        """Return a sentence for each thing that a deploy must not do, and did."""
        missed = len(self.before.missed) + len(self.after.missed)
        return [
            f"{self.entry} {what}"
            for what, number in {
                f"fired {self.double} ticks twice": self.double,
                f"fired {self.old_after} ticks of the old version": self.old_after,
                f"missed {missed} ticks": missed,
            }.items()
            if number
        ]

    def facts(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedTask:
    """The outcomes of the jobs of the task that the new version adds."""

    completed: int
    attempts: list[int]
    """The numbers of the attempts that completed, without repetition."""
    handed_back: int
    """Hand-backs by the old workers."""

    def row(self) -> dict[str, object]:
        """Return the result as a row of a table."""
        return {
            "task": "added", "jobs": ADDED_JOBS, "completed": self.completed, "attempts": str(self.attempts),
            "hand-backs": self.handed_back,
        }  # fmt: skip

    def missed_bars(self) -> list[str]:
        """Return a sentence for each bar that was not reached."""
        bars = {
            f"{self.completed} of {ADDED_JOBS} jobs completed": self.completed == ADDED_JOBS,
            f"attempts {self.attempts}, not all that the task has": self.attempts == [RETRIES + 1],
            f"{self.handed_back} hand-backs": self.handed_back >= ADDED_JOBS,
        }
        return [f"the added task: {what}" for what, reached in bars.items() if not reached]

    def facts(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """The times of a deploy, and the ledger before and after it."""

    start: float
    first_new: float
    """When the first worker of the new version was started."""
    up: float
    """When that worker was up."""
    end: float
    before: list[CronStatus]
    after: list[CronStatus]


def run(plan: Plan, folder: Path) -> tuple[Deploy, list[Result], AddedTask]:
    """Deploy the second version over the first, on a server of its own; `folder` gets the logs."""
    log = RunLog(folder / "runs")
    with ExitStack() as stack:
        server = RedisServer(next(iter(found().values())), namespace=NAMESPACE)
        stack.callback(server.close)
        server.start()
        workers = [_worker(version) for version in ("1", "2") for _ in range(plan.workers)]
        variables = environment(server.url, NAMESPACE, folder / "runs")
        fleet = stack.enter_context(Fleet(workers, folder, variables))
        deploy = _roll(fleet, plan, server.url)
        records = anyio.run(_added_jobs, server.url)
        fleet.stop()
        with server.client() as client:
            assert_consistent(client, NAMESPACE)
        handed_back = fleet.logs().count(" was handed back")
    added = AddedTask(
        completed=sum(record.state is JobState.COMPLETED for record in records),
        attempts=sorted({record.attempt for record in records}),
        handed_back=handed_back,
    )
    return deploy, [_result(change, kind, deploy, log.read()) for change in CHANGES for kind in KINDS[1:]], added


def status_rows(statuses: Sequence[CronStatus]) -> list[dict[str, object]]:
    """Return the entries of a ledger as rows of a table."""
    return [
        {
            "entry": status.definition.name,
            "schedule": status.definition.expression,
            "state": "retired" if status.retired_at else "armed",
            "since": _clock(status.retired_at or status.armed_at),
            "last tick": _clock(status.last_tick),
            "fired": status.counts.fired,
            "missed": status.counts.missed,
        }
        for status in statuses
    ]


def _worker(version: str) -> WorkerProcess:
    return WorkerProcess(["-m", "aioq", "worker", APP], {"CHAOS_DEPLOY": version})


def _roll(fleet: Fleet, plan: Plan, url: str) -> Deploy:
    """Replace the old workers one by one; each new worker is up before its old one stops."""
    fleet.start(*range(plan.workers))
    anyio.run(_enqueue_added, url)
    start = time.time()
    wait_until(start + 2 * plan.pause)
    before = cron_ledger.statuses(url, NAMESPACE)
    first_new, up = time.time(), 0.0
    for number in range(plan.workers):
        fleet.start(plan.workers + number)
        up = up or time.time()
        wait_until(time.time() + plan.pause)
        fleet.stop(number)
    wait_until(time.time() + 2 * plan.pause)
    end = time.time() - 0.5
    return Deploy(
        start=start, first_new=first_new, up=up, end=end, before=before, after=cron_ledger.statuses(url, NAMESPACE)
    )


def _client(url: str) -> Aarq:
    return Aarq(RedisBroker(url, namespace=NAMESPACE), name="chaos")


async def _enqueue_added(url: str) -> None:
    """Enqueue jobs of the added task, as a client of the new version does."""
    async with _client(url) as app:
        task = define_added_task(app)
        await app.enqueue_many([task.options(job_id=f"added-{n}").call() for n in range(ADDED_JOBS)])


async def _added_jobs(url: str) -> list[JobRecord]:
    """Return the records of these jobs, when they have ended or should have."""
    async with _client(url) as app:
        task = define_added_task(app)
        records: list[JobRecord] = []
        for n in range(ADDED_JOBS):
            job = task.job(f"added-{n}")
            with suppress(JobEnded, ResultTimeout):
                await job.result(timeout=LONGEST if not records else LONGEST / 5)
            record = await job.info()
            records += [record] if record is not None else []
        return records


def _result(change: str, kind: str, deploy: Deploy, runs: Sequence[Run]) -> Result:
    old, new = VERSIONS["1"].get(change), VERSIONS["2"].get(change)
    mine = [run for run in runs if run.entry == f"{change}.{kind}"]
    before = [run for run in mine if run.tick <= deploy.first_new]
    after = [run for run in mine if run.tick > deploy.up]
    return Result(
        entry=f"{change}.{kind}",
        before=count_ticks(expected_ticks(deploy.start, deploy.first_new - 0.5, old) if old else [], old or 1, before),
        after=count_ticks(expected_ticks(deploy.up, deploy.end, new) if new else [], new or 1, after),
        double=count_ticks([], 1, mine).double,
        old_after=sum(not new or run.tick % new != 0 for run in after),
    )


def _clock(moment: float | None) -> str:
    return "" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S.%f")[:-3]
