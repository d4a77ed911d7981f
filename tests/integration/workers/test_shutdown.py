"""How a worker stops: drain, abort, and the state of its jobs afterwards."""

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
    emit("started", job_id=ctx["job_id"])
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    emit("ended")
    return ctx["worker_id"]
"""


@pytest.fixture(autouse=True)
def _tasks(write_tasks: Callable[[str], None]) -> None:
    write_tasks(HOLD)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_shutdown_signal_lets_running_job_end(
    start_worker: StartWorker, client: Client, tmp_path: Path, number: signal.Signals
) -> None:
    """After SIGTERM, Ctrl-C or SIGHUP the running job ends, no other job is claimed, and the exit code is 0."""
    worker = start_worker()
    running = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(number)
    worker.wait_for(f"received {number.name}")
    worker.wait_for("stopping: 1 jobs have up to 25 s to end")
    late = client.hold(tmp_path / "gate")
    (tmp_path / "gate").touch()
    assert worker.wait() == 0
    assert client.record(running).state is JobState.COMPLETED
    assert client.record(late).state is JobState.PENDING
    assert len(worker.events("ended")) == 1


def test_shutdown_second_sigterm_aborts(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """The second SIGTERM cancels the running job, which is pending again and whose attempt does not count."""
    worker = start_worker()
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(signal.SIGTERM)
    worker.wait_for("stopping: 1 jobs")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    record = client.record(job_id)
    assert (record.state, record.attempt, record.crashes) == (JobState.PENDING, 0, 0)
    assert f"job {job_id} of hold was released and will run again" in worker.text()


def test_shutdown_grace_elapsed_aborts(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """A job that does not end within `--grace` is aborted, as by a second signal."""
    worker = start_worker("--grace", "0.3")
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    sent = worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.time() - sent >= 0.3
    assert client.record(job_id).state is JobState.PENDING


def test_shutdown_released_job_runs_on_another_worker(
    start_worker: StartWorker, client: Client, tmp_path: Path
) -> None:
    """A job that a stopping worker releases runs on another worker before its lease would have ended."""
    first = start_worker("--grace", "0")
    job_id = client.hold(tmp_path / "gate")
    first.wait_for_event("started")
    second = start_worker()
    first.send(signal.SIGTERM)
    second.wait_for_event("started")
    (tmp_path / "gate").touch()
    assert client.result(job_id) in second.text()
    assert first.wait() == 0


def test_shutdown_of_idle_worker_logs_no_jobs(start_worker: StartWorker) -> None:
    """SIGTERM ends an idle worker, which logs nothing about jobs."""
    worker = start_worker("-q", "empty", "-c", "3")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert "jobs have up to" not in worker.text()


def test_burst_runs_all_jobs_and_ends(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """`--burst` runs the jobs of the queue, and ends by itself."""
    (tmp_path / "gate").touch()
    jobs = [client.hold(tmp_path / "gate") for _ in range(3)]
    worker = start_worker("--burst")
    assert worker.wait() == 0
    assert {client.record(job_id).state for job_id in jobs} == {JobState.COMPLETED}


def test_shutdown_leaves_blocking_thread_behind(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path
) -> None:
    """A plain `def` task that outlasts the grace is left behind: its job is pending, and the process exits with 0."""
    write_tasks(
        """
@app.task(name="hold")
def hold(ctx, gate: str) -> str:
    emit("started", job_id=ctx["job_id"])
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
def test_shutdown_leaves_to_thread_call_behind(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path, loop: str
) -> None:
    """A call of `asyncio.to_thread` is left behind too, although an event loop waits for its threads at its end."""
    write_tasks(
        """
import asyncio

def wait_for(gate: str) -> None:
    emit("started")
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


def test_shutdown_leaves_task_that_ignores_cancellation(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path
) -> None:
    """The process exits with 0 after it has released the job of a task that ignores its cancellation."""
    write_tasks(
        """
import aioq.worker.worker

aioq.worker.worker.SHUTDOWN_TIMEOUT = 0.5

@app.task(name="hold")
async def hold(ctx, gate: str) -> None:
    emit("started")
    while True:
        try:
            await anyio.sleep(0.1)
        except BaseException:
            emit("deaf")
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
