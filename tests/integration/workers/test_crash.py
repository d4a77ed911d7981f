"""A worker that crashes while it runs a job, and one that reports too late."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from aioq import JobState
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client

HOLD = """
AGAIN = ""


@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", worker_id=ctx["worker_id"], attempt=ctx["attempt"], epoch=ctx["epoch"])
    gate += AGAIN if ctx["epoch"] > 1 else ""
    while not Path(gate).exists():
        if ctx["epoch"] > 1 or POLITE:
            await anyio.sleep(0.01)
        else:  # block the event loop, so that the worker reports before it notices the lost lease
            time.sleep(0.01)
    return ctx["worker_id"]
"""
LEASE = 1.0


def test_killed_workers_job_runs_elsewhere_after_its_lease(
    start_worker: StartWorker, client: Client, tmp_path: Path, write_tasks: Callable[[str], None]
) -> None:
    """After kill -9 the job stays leased until its lease ends, and then completes on another worker."""
    write_tasks("POLITE = True" + HOLD)
    first = start_worker("--lease", f"{LEASE:g}")
    job_id = client.hold(tmp_path / "gate")
    first.wait_for_event("started")
    second = start_worker("--lease", f"{LEASE:g}")
    killed = first.send(signal.SIGKILL)
    again = second.wait_for_event("started")
    (tmp_path / "gate").touch()
    assert client.result(job_id) == again["worker_id"]
    assert (again["attempt"], again["epoch"], client.record(job_id).crashes) == (2, 2, 1)
    assert first.wait() == -signal.SIGKILL
    # The worker extended its leases three times per lease, so at least two thirds of one were left.
    assert again["at"] - killed >= LEASE * 0.5


def test_late_report_is_refused(
    start_worker: StartWorker, client: Client, tmp_path: Path, write_tasks: Callable[[str], None]
) -> None:
    """A worker that was suspended for longer than its lease cannot settle the job that another worker took over."""
    write_tasks("POLITE = False" + HOLD)
    frozen = start_worker("--lease", f"{LEASE:g}")
    job_id = client.hold(tmp_path / "gate")
    frozen.wait_for_event("started")
    frozen.send(signal.SIGSTOP)
    second = start_worker("--lease", f"{LEASE:g}")
    again = second.wait_for_event("started")
    (tmp_path / "gate").touch()
    assert client.result(job_id) == again["worker_id"]
    frozen.send(signal.SIGCONT)
    frozen.wait_for(f"WARNING aioq.worker: job {job_id} of hold was reported too late and the report was rejected")
    record = client.record(job_id)
    assert (record.state, record.worker_id, client.result(job_id)) == (
        JobState.COMPLETED, again["worker_id"], again["worker_id"],
    )  # fmt: skip
    frozen.send(signal.SIGTERM)
    assert frozen.wait() == 0


def test_late_report_does_not_end_another_run(
    start_worker: StartWorker, client: Client, tmp_path: Path, write_tasks: Callable[[str], None]
) -> None:
    """A late report of the previous worker does not affect the run on the new worker."""
    write_tasks("POLITE = False" + HOLD.replace('AGAIN = ""', 'AGAIN = "-again"'))
    frozen = start_worker("--lease", f"{LEASE:g}")
    job_id = client.hold(tmp_path / "gate")
    frozen.wait_for_event("started")
    frozen.send(signal.SIGSTOP)
    second = start_worker("--lease", f"{LEASE:g}")
    again = second.wait_for_event("started")
    (tmp_path / "gate").touch()
    frozen.send(signal.SIGCONT)
    frozen.wait_for(f"WARNING aioq.worker: job {job_id} of hold was reported too late and the report was rejected")
    record = client.record(job_id)
    assert (record.state, record.worker_id) == (JobState.RUNNING, again["worker_id"])
    (tmp_path / "gate-again").touch()
    assert client.result(job_id) == again["worker_id"]
