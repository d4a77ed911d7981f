"""`aioq cron` and `aioq check`: changes that one process makes to the ledger are visible to the next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aioq.model.cron import CronDefinition
from aioq_redis import RedisBroker
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import wait_until

TASKS = """
@app.cron("0 4 1 * *", tz="Europe/Berlin", unique=True)
async def clean_up(ctx) -> int:
    return 3


@app.task
async def report(ctx, to: str) -> str:
    if to == "Mallory":
        raise ValueError("who is Mallory?")
    return f"sent to {to}"


app.schedule(report, "30 9 * * 1-5", args=("Ada",), name="report")
app.schedule(report, "30 9 * * 1-5", args=("Mallory",), name="wrong", enabled=False)
"""

Aioq = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def aioq(tmp_path: Path, write_tasks: Callable[[str], None], redis_url: str, namespace: str) -> Aioq:
    """Return a function that runs a command in a process, as a shell does."""
    write_tasks(TASKS)
    environment = {**os.environ, "TEST_URL": redis_url, "TEST_NAMESPACE": namespace, "LOGNAME": "ada"}

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "aioq", *argv]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


async def register(redis_url: str, namespace: str, aioq: Aioq) -> None:
    """Register the entries of the code, as the first worker of a deploy does."""
    added = json.loads(aioq("cron", "diff", "tasks:app", "--json").stdout)["added"]
    facts = [{name: value for name, value in entry.items() if name != "next"} for entry in added]
    broker = RedisBroker(redis_url, namespace=namespace)
    await broker.connect()
    await broker.register_crons("tasks", "1", [CronDefinition(**entry) for entry in facts], ttl=30)
    await broker.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_diff_register_and_check_agree(aioq: Aioq, redis_url: str, namespace: str) -> None:
    """A deploy changes what `diff` printed, and `check` misses nothing but the workers afterwards."""
    before = aioq("cron", "diff", "tasks:app")
    assert (before.returncode, before.stdout.splitlines()[-1]) == (
        1, "a deploy of tasks would add 3, change 0 and retire 0 entries, and leave 0 unchanged",
    )  # fmt: skip
    await register(redis_url, namespace, aioq)
    after = aioq("cron", "diff", "tasks:app")
    assert (after.returncode, after.stdout) == (
        0, "a deploy of tasks would change nothing: its 3 cron entries are registered as in the code\n",
    )  # fmt: skip
    check = aioq("check", "tasks:app")
    missing = "aioq: check: no worker consumes queue default, which has 2 crons; start one with -q default\n"
    assert (check.returncode, check.stderr) == (3, missing)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_pause_is_listed_until_resume(aioq: Aioq, redis_url: str, namespace: str) -> None:
    """Another process lists the entry as paused, until it is resumed."""
    await register(redis_url, namespace, aioq)
    aioq("cron", "pause", "tasks:app", "report", "--note", "the printer is on fire")
    (_, report, _) = json.loads(aioq("cron", "list", "tasks:app", "--json").stdout)
    assert report["ledger"]["paused"]["note"] == "the printer is on fire"
    assert report["ledger"]["paused"]["by"].startswith("ada@")
    assert "report is resumed: its next run is " in aioq("cron", "resume", "tasks:app", "report").stdout
    assert aioq("cron", "resume", "tasks:app", "report").stdout == "report was not paused\n"


def test_run_by_hand_is_in_the_history(aioq: Aioq) -> None:
    """The history has the result of the run, and the user who started it."""
    assert aioq("cron", "run", "tasks:app", "tasks.clean_up").stdout.startswith("tasks.clean_up returned 3 after ")
    (record,) = json.loads(aioq("cron", "history", "tasks:app", "tasks.clean_up", "--json").stdout)
    assert (record["status"], record["reason"]) == ("ok", "by hand")
    assert record["worker_id"].startswith("by-hand-ada@")


def test_backfill_enqueues_each_job_once(aioq: Aioq) -> None:
    """A second backfill enqueues only the jobs that the first one did not."""
    first = aioq("cron", "backfill", "tasks:app", "report", "--from", "2025-06-02", "--to", "2025-06-04")
    second = aioq("cron", "backfill", "tasks:app", "report", "--from", "2025-06-02", "--to", "2025-06-06T18:00")
    assert (first.stdout.splitlines()[-1], second.stdout.splitlines()[-1]) == (
        "2 enqueued", "3 enqueued, 2 already enqueued",
    )  # fmt: skip
    records = json.loads(aioq("cron", "history", "tasks:app", "report", "--json").stdout)
    assert [(record["status"], record["reason"]) for record in records] == [("fired", "job pending")] * 5


def test_run_of_schedule_enqueues_a_job(aioq: Aioq) -> None:
    """`cron run` prints the job's id, and a worker runs the job."""
    out = aioq("cron", "run", "tasks:app", "report").stdout
    assert out.startswith("report is job cron:report:")
    burst = aioq("worker", "tasks:app", "--burst")
    assert burst.returncode == 0
    (record,) = json.loads(aioq("cron", "history", "tasks:app", "report", "--json").stdout)
    assert record["status"] == "ok"


def test_run_wait_prints_result_or_error(aioq: Aioq, start_worker: StartWorker) -> None:
    """`cron run --wait` prints the job's result or its error, and exits accordingly."""
    start_worker()
    good = aioq("cron", "run", "tasks:app", "report", "--wait")
    assert (good.returncode, good.stdout.splitlines()[1:]) == (0, ["report returned 'sent to Ada'"])
    bad = aioq("cron", "run", "tasks:app", "wrong", "--wait")
    job_id = bad.stdout.split()[3]
    assert (bad.returncode, bad.stderr) == (1, f"aioq: job {job_id} failed: ValueError: who is Mallory?\n")


def test_worker_start_registers_entries(aioq: Aioq, start_worker: StartWorker) -> None:
    """After a worker's start `diff` has nothing to change, `check` counts the worker, and `list` shows the ledger."""
    start_worker()
    wait_until("registration", lambda: aioq("cron", "diff", "tasks:app").returncode == 0)
    assert aioq("check", "tasks:app").stdout == "ok: none of 3 entries is overdue, 1 disabled; 1 worker up\n"
    listed = json.loads(aioq("cron", "list", "tasks:app", "--json").stdout)
    assert [entry["ledger"] is not None for entry in listed] == [True, True, True]
