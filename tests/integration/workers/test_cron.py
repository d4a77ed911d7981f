"""Crons in real workers: on time, on the right queues, once or on every worker, whatever they raise."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Program, wait_until

# The three crons of the documentation, and some that fire every minute.
MINUTES = """
@app.cron("*/5 * * * *")             # every 5 minutes
async def cleanup_old_jobs(ctx):
    broker = ctx["broker"]
    # ... cleanup logic


@app.cron("0 9 * * 1-5", queue="reports")  # weekdays at 9 AM
async def send_daily_report(ctx):
    ...
    # ... report logic


@app.cron("0 0 1 * *")               # first day of every month
async def monthly_summary(ctx):
    ...


def fired(ctx):
    scheduled_at = ctx["scheduled_at"].timestamp()
    emit(ctx["cron_name"], scheduled_at=scheduled_at, worker_id=ctx["worker_id"], keys=sorted(ctx))


@app.cron("* * * * *", name="everywhere")
async def everywhere(ctx):
    fired(ctx)


@app.cron("* * * * *", queue="reports", name="report")
async def report(ctx):
    fired(ctx)


@app.cron("* * * * *", unique=True, name="once")
async def once(ctx):
    fired(ctx)


@app.cron("* * * * *")
async def failing(ctx):
    raise ConnectionError("connection refused")
"""

SECONDS = """
second = Every(timedelta(seconds=1))


def fired(ctx):
    emit(ctx["cron_name"], tick=ctx["scheduled_at"].timestamp(), late=time.time() - ctx["scheduled_at"].timestamp())


@app.cron(second, name="everywhere")
async def everywhere(ctx):
    fired(ctx)


@app.cron(second, unique=True, name="once")
async def once(ctx):
    fired(ctx)


@app.cron(second)
async def failing(ctx):
    fired(ctx)
    raise ConnectionError("connection refused")


@app.cron(second, name="blocking")
def blocking(ctx):
    fired(ctx)
"""

FAILURE = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ERROR aioq\.worker: Cron task tasks\.failing failed: connection refused$"


def stop(*workers: Program) -> None:
    """Stop workers, so that their output is complete."""
    for worker in workers:
        worker.send(signal.SIGTERM)
    assert [worker.wait() for worker in workers] == [0] * len(workers)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_cron_fires_on_the_minute_on_every_worker(
    start_worker: StartWorker, write_tasks: Callable[[str], None]
) -> None:
    """On the minute every worker calls the crons of its queues; one worker calls a unique cron."""
    write_tasks(MINUTES)
    if time.time() % 60 > 45:  # too close for three workers to be ready for it on a busy machine
        time.sleep(60 - time.time() % 60)
    minute = (time.time() // 60 + 1) * 60
    first, second, reports = start_worker(), start_worker(), start_worker("-q", "reports")
    assert "0 tasks, 7 crons" in first.text()
    assert "queues reports, 10 at a time, 0 tasks, 2 crons" in reports.text()
    for worker in (first, second):
        worker.wait_for_event("everywhere", timeout=75)
        worker.wait_for(FAILURE)
    for worker in (first, second, reports):
        worker.wait_for_event("report")
    # A worker that stops before it has claimed a tick leaves the tick to others.
    wait_until("a call of the unique cron", lambda: bool(first.events("once") or second.events("once")))
    stop(first, second, reports)

    workers = (first, second, reports)
    assert [len(worker.events("everywhere")) for worker in workers] == [1, 1, 0]
    assert [len(worker.events("report")) for worker in workers] == [1, 1, 1]
    assert sum(len(worker.events("once")) for worker in workers) == 1
    assert [len(re.findall(FAILURE, worker.text(), re.MULTILINE)) for worker in workers] == [1, 1, 0]
    for call in (
        call for worker in workers for name in ("everywhere", "report", "once") for call in worker.events(name)
    ):
        assert call["scheduled_at"] == minute
        assert 0 <= call["at"] - minute < 60
        assert {"worker_id", "broker"} <= set(call["keys"])
        assert "job_id" not in call["keys"]


def test_cron_on_two_workers_fires_twice_and_unique_once(
    start_worker: StartWorker, write_tasks: Callable[[str], None]
) -> None:
    """Each worker calls its crons; with `unique=True` only one worker does, tick after tick."""
    write_tasks(SECONDS)
    first, second = start_worker(), start_worker()
    both_from = second.wait_for_event("everywhere")["tick"]
    both_until = first.wait_for_event("everywhere", times=len(first.events("everywhere")) + 3)["tick"]
    second.wait_for(f'"everywhere", .*"tick": {both_until}')
    ticks = {both_from + number for number in range(round(both_until - both_from) + 1)}
    # The winner of the last tick is known when a later one has been won.
    calls = {name: Counter[float]() for name in ("everywhere", "once", "blocking")}
    wait_until(
        "a later unique tick",
        lambda: any(call["tick"] > both_until for worker in (first, second) for call in worker.events("once")),
    )
    stop(first, second)
    for name, counted in calls.items():
        counted.update(call["tick"] for worker in (first, second) for call in worker.events(name))
    assert {calls["everywhere"][tick] for tick in ticks} == {2}
    assert {calls["blocking"][tick] for tick in ticks} == {2}
    assert {calls["once"][tick] for tick in ticks} == {1}
    assert max(calls["once"].values()) == 1


def test_cron_that_raises_is_logged_and_called_again(
    start_worker: StartWorker, write_tasks: Callable[[str], None]
) -> None:
    """Each failure logs the documented line, and the next tick fires."""
    write_tasks(SECONDS)
    worker = start_worker()
    worker.wait_for(FAILURE, times=3)
    stop(worker)
    ticks = [call["tick"] for call in worker.events("tasks.failing")]
    assert ticks[:3] == [ticks[0], ticks[0] + 1, ticks[0] + 2]
    assert len(re.findall(FAILURE, worker.text(), re.MULTILINE)) == len(ticks)
    assert [call["tick"] for call in worker.events("everywhere")] == ticks


def test_burst_fires_no_crons(start_worker: StartWorker, write_tasks: Callable[[str], None]) -> None:
    """`--burst` runs jobs alone, and does not wait for a tick."""
    write_tasks(SECONDS)
    worker = start_worker("--burst")
    assert worker.wait() == 0
    assert worker.events("everywhere") == []
