"""`aioq doctor` as a user runs it, on a server with a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client, Program
from tests.servers import RedisServer

HOLD = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started")
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    return ctx["worker_id"]
"""


def test_doctor_of_a_busy_worker_is_ok(
    start_worker: StartWorker,
    write_tasks: Callable[[str], None],
    client: Client,
    tmp_path: Path,
    redis_server: RedisServer,
    redis_url: str,
    namespace: str,
) -> None:
    """`aioq doctor` checks the app's namespace: its queue, its running job and its worker.

    A user without the right to call INFO and CONFIG gets a warning for each, and exit code 0.
    """
    write_tasks(HOLD)
    worker = start_worker()
    client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    environment = {"TEST_URL": redis_url, "TEST_NAMESPACE": namespace}
    with Program("doctor", "tasks:app", "--json", folder=tmp_path, environment=environment) as program:
        assert program.wait() == 0
    findings = json.loads(program.text("out"))["findings"]
    refused = [finding for finding in findings if "could not be checked: NOPERM" in finding["text"]]
    assert [(finding["level"], finding["advice"]) for finding in refused] == [
        ("warn", f"use a user that may call {command}") for command in ("INFO", "CONFIG") if redis_server.owned
    ]
    found = {finding["subject"]: finding for finding in findings}
    assert found["clock"]["level"] == "ok"
    assert found["queue default"]["facts"]["running"] == 1
    assert (found["workers"]["facts"]["workers"], found["workers"]["facts"]["slots"]) == (1, 10)
    assert found["keys"]["level"] == "ok"


def test_doctor_with_url_reports_eviction(tmp_path: Path, start_server: Callable[..., RedisServer]) -> None:
    """A server that may evict jobs fails, in a line that says what to do."""
    server = start_server("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
    with Program("doctor", server.open_url, folder=tmp_path) as program:
        assert program.wait() == 1
    lines = program.text("out").splitlines()
    assert lines[1:3] == [
        "fail   eviction     maxmemory-policy is allkeys-lru: the server evicts jobs when memory runs short",
        "                    -> CONFIG SET maxmemory-policy noeviction, and in its configuration file",
    ]
