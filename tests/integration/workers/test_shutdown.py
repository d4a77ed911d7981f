"""How a worker ends: drain, abort, and what becomes of its jobs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aioq import JobState
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client

HOLD = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    tell("started", job_id=ctx["job_id"])
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    tell("ended")
    return ctx["worker_id"]
"""


@pytest.fixture(autouse=True)
def _tasks(write_tasks: Callable[[str], None]) -> None:
    write_tasks(HOLD)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_jobs_end(
    start_worker: StartWorker, client: Client, tmp_path: Path, number: signal.Signals
) -> None:
    """After SIGTERM or Ctrl-C the running job ends, no other is claimed, and the exit code is 0."""
    worker = start_worker()
    running = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(number)
    worker.wait_for(f"got {number.name}")
    worker.wait_for("stopping: 1 jobs have up to 25 s to end")
    late = client.hold(tmp_path / "gate")
    (tmp_path / "gate").touch()
    assert worker.wait() == 0
    assert client.record(running).state is JobState.COMPLETED
    assert client.record(late).state is JobState.PENDING
    assert len(worker.events("ended")) == 1


def test_a_second_sigterm_aborts_at_once(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """The second SIGTERM cancels the running job, which waits again with its attempt given back."""
    worker = start_worker()
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(signal.SIGTERM)
    worker.wait_for("stopping: 1 jobs")
    sent = worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.time() - sent < 3
    record = client.record(job_id)
    assert (record.state, record.attempt, record.crashes) == (JobState.PENDING, 0, 0)
    assert f"job {job_id} of hold was released and will run again" in worker.text()


def test_the_grace_is_kept(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """A job that does not end within `--grace` is aborted as by a second signal."""
    worker = start_worker("--grace", "0.3")
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    sent = worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert 0.3 <= time.time() - sent < 3.3
    assert client.record(job_id).state is JobState.PENDING


def test_another_worker_goes_on_at_once(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """What a stopped worker releases runs on another one without waiting for a lease to end."""
    first = start_worker("--grace", "0")
    job_id = client.hold(tmp_path / "gate")
    first.wait_for_event("started")
    second = start_worker()
    sent = first.send(signal.SIGTERM)
    assert second.wait_for_event("started")["at"] - sent < 3
    (tmp_path / "gate").touch()
    assert client.result(job_id) in second.text()
    assert first.wait() == 0


def test_an_idle_worker_ends_at_once(start_worker: StartWorker) -> None:
    """SIGTERM ends a worker that has nothing to do, without a word of jobs."""
    worker = start_worker("-q", "empty", "-c", "3")
    sent = worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.time() - sent < 3
    assert "jobs have up to" not in worker.text()


def test_a_burst_empties_the_queue(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """`--burst` runs what is there, and ends by itself."""
    (tmp_path / "gate").touch()
    jobs = [client.hold(tmp_path / "gate") for _ in range(3)]
    worker = start_worker("--burst")
    assert worker.wait() == 0
    assert {client.record(job_id).state for job_id in jobs} == {JobState.COMPLETED}


def test_a_blocking_task_cannot_keep_the_worker(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path
) -> None:
    """A plain `def` task that ignores the grace is left behind: its job waits again, the process exits 0."""
    write_tasks(
        """
@app.task(name="hold")
def hold(ctx, gate: str) -> str:
    tell("started", job_id=ctx["job_id"])
    while not Path(gate).exists():
        time.sleep(0.01)
"""
    )
    worker = start_worker("--grace", "0.2")
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert "exiting although 1 threads of tasks are still running" in worker.text()
    assert client.record(job_id).state is JobState.PENDING


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_a_task_has_handed_to_a_thread_cannot_keep_the_worker(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path, loop: str
) -> None:
    """So it is with `asyncio.to_thread`, whose threads an event loop waits for at its end."""
    write_tasks(
        """
import asyncio

def wait_for(gate: str) -> None:
    tell("started")
    while not Path(gate).exists():
        time.sleep(0.01)

@app.task(name="hold")
async def hold(ctx, gate: str) -> None:
    await asyncio.to_thread(wait_for, gate)
"""
    )
    worker = start_worker("--grace", "0.2", "--loop", loop)
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert "exiting although 1 threads of tasks are still running" in worker.text()
    assert client.record(job_id).state is JobState.PENDING


def test_a_task_that_heeds_no_cancellation_cannot_keep_the_worker(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path
) -> None:
    """Once its job has been given back the process exits with 0, whatever the task makes of its cancellation."""
    write_tasks(
        """
import aioq.worker.worker

aioq.worker.worker.SHUTDOWN_TIMEOUT = 0.5

@app.task(name="hold")
async def hold(ctx, gate: str) -> None:
    tell("started")
    while True:
        try:
            await anyio.sleep(0.1)
        except BaseException:
            tell("deaf")
"""
    )
    worker = start_worker("--grace", "0.2")
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.events("deaf")
    assert (
        "exiting although tasks are still running: they ignore their cancellation, and their jobs were released"
        in worker.text()
    )
    record = client.record(job_id)
    assert (record.state, record.attempt, record.crashes) == (JobState.PENDING, 0, 0)
