"""`aioq worker --reload`: the code of a real process changes while it runs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client

HOLD = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", job_id=ctx["job_id"], attempt=ctx["attempt"], release={release})
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    return "{release}"
"""
UP = "INFO aioq.worker: worker .* started"


def test_changed_code_runs_and_gives_jobs_back(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path
) -> None:
    """The job that runs while a file is saved runs again in the new code, as its first attempt."""
    write_tasks(HOLD.format(release=1))
    worker = start_worker("--reload")
    job = client.hold(tmp_path / "gate")
    assert worker.wait_for_event("started")["release"] == 1
    write_tasks(HOLD.format(release=2))
    worker.wait_for("INFO aioq.cli: tasks.py changed: the worker starts again")
    again = worker.wait_for_event("started", times=2)
    assert (again["job_id"], again["attempt"], again["release"]) == (job, 1, 2)
    (tmp_path / "gate").touch()
    assert client.result(job) == "2"
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


def test_broken_code_waits_for_the_next_change(
    start_worker: StartWorker, write_tasks: Callable[[str], None], tmp_path: Path
) -> None:
    """A file that cannot be imported is reported, and the worker starts when it is right again."""
    write_tasks(HOLD.format(release=1))
    worker = start_worker("--reload")
    (tmp_path / "tasks.py").write_text("app = (\n")
    worker.wait_for("SyntaxError")
    write_tasks(HOLD.format(release=2))
    worker.wait_for(UP, times=2)
    worker.send(signal.SIGINT)
    assert worker.wait() == 0
