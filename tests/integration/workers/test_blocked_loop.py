"""A task that blocks the event loop of a real worker, for less and for longer than `--max-block`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client, wait_until

BLOCK = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", job_id=ctx["job_id"], epoch=ctx["epoch"])
    while not Path(gate).exists() and ctx["epoch"] == 1:
        time.sleep(0.01)
    emit("ended", epoch=ctx["epoch"])
    return ctx["worker_id"]
"""
LEASE = 1.0


def test_blocked_loop_keeps_its_lease(
    start_worker: StartWorker, client: Client, tmp_path: Path, write_tasks: Callable[[str], None]
) -> None:
    """A job that blocks the loop for several leases runs once; meanwhile the log names it and shows its stack."""
    write_tasks(BLOCK)
    first = start_worker("--lease", f"{LEASE:g}")
    job_id = client.hold(tmp_path / "gate")
    started = first.wait_for_event("started")
    second = start_worker("--lease", f"{LEASE:g}")
    warned = first.wait_for(f"WARNING aioq.worker: the event loop has been blocked for .* by job {job_id} of hold")
    first.wait_for(r"time\.sleep\(0\.01\)")
    wait_until("a block of three leases", lambda: time.time() - started["at"] > 3 * LEASE)
    (tmp_path / "gate").touch()
    assert client.result(job_id) in first.text()
    assert warned.at - started["at"] >= 1
    assert [event["job_id"] for event in second.events("started")].count(job_id) == 0
    assert client.record(job_id).crashes == 0
    first.wait_for(f"WARNING aioq.worker: the event loop runs again; job {job_id} of hold blocked it for")


def test_block_beyond_max_block_is_taken_over_and_fenced(
    start_worker: StartWorker, client: Client, tmp_path: Path, write_tasks: Callable[[str], None]
) -> None:
    """A job that blocks for longer than `--max-block` runs on another worker too, and one report is accepted."""
    write_tasks(BLOCK)
    first = start_worker("--lease", f"{LEASE:g}", "--max-block", "1")
    job_id = client.hold(tmp_path / "gate")
    first.wait_for_event("started")
    second = start_worker("--lease", f"{LEASE:g}")
    first.wait_for("ERROR aioq.worker: the event loop has been blocked for more than 1 s: the leases of 1 jobs")
    assert second.wait_for_event("started")["epoch"] == 2
    assert client.result(job_id) in second.text()
    (tmp_path / "gate").touch()
    first.wait_for(f"job {job_id} of hold was reported too late and the report was rejected|the lease of job {job_id}")
    assert client.result(job_id) in second.text()
    record = client.record(job_id)
    assert (record.attempt, record.crashes) == (2, 1)
