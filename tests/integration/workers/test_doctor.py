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
    tell("started")
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    return ctx["worker_id"]
"""


def test_a_worker_at_work_is_healthy(
    start_worker: StartWorker,
    write_tasks: Callable[[str], None],
    client: Client,
    tmp_path: Path,
    redis_server: RedisServer,
    redis_url: str,
    namespace: str,
) -> None:
    """An app's own namespace is looked at: its queue, its job that runs, and its worker.

    So a user of few rights sees it, who is told what else there would be, and is not failed for it.
    """
    write_tasks(HOLD)
    worker = start_worker()
    client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    environment = {"TEST_URL": redis_url, "TEST_NAMESPACE": namespace}
    with Program("doctor", "tasks:app", "--json", folder=tmp_path, environment=environment) as program:
        assert program.wait() == 0
    findings = json.loads(program.text("out"))["findings"]
    refused = [finding for finding in findings if "could not be looked at: NOPERM" in finding["text"]]
    assert [(finding["level"], finding["advice"]) for finding in refused] == [
        ("warn", f"ask as a user that may call {command}") for command in ("INFO", "CONFIG") if redis_server.owned
    ]
    told = {finding["subject"]: finding for finding in findings}
    assert told["clock"]["level"] == "ok"
    assert told["queue default"]["facts"]["running"] == 1
    assert (told["workers"]["facts"]["workers"], told["workers"]["facts"]["slots"]) == (1, 10)
    assert told["keys"]["level"] == "ok"


def test_a_url_is_enough(tmp_path: Path, start_server: Callable[..., RedisServer]) -> None:
    """A server that throws jobs away fails, in a line that says what to do."""
    server = start_server("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
    with Program("doctor", server.open_url, folder=tmp_path) as program:
        assert program.wait() == 1
    lines = program.text("out").splitlines()
    assert lines[1:3] == [
        "fail   eviction     maxmemory-policy is allkeys-lru: the server throws jobs away when memory runs short",
        "                    -> CONFIG SET maxmemory-policy noeviction, and in its configuration file",
    ]
