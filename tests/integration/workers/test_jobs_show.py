"""`aioq jobs show` as a user runs it, on a job that another program wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import redis

from aioq import JobState
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client, Program, wait_until


def test_jobs_show_escapes_payload_of_dead_job(
    start_worker: StartWorker,
    write_tasks: Callable[[str], None],
    client: Client,
    tmp_path: Path,
    redis_url: str,
    namespace: str,
) -> None:
    """A job that another program wrote is dead, and its payload is printed escaped, on one line."""
    write_tasks('@app.task(name="hold")\nasync def hold(ctx, gate: str) -> str: ...')
    with redis.from_url(redis_url) as raw:
        raw.hset(f"{{{namespace}:default}}:jobs", "foreign", b'1764000000000 hold \n{"gate":"\xff\x1b[31m\n"}')
        raw.rpush(f"{{{namespace}:default}}:ready:5", "foreign")
    start_worker()
    wait_until("the end of the job", lambda: client.record("foreign").state is JobState.DEAD)
    environment = {"TEST_URL": redis_url, "TEST_NAMESPACE": namespace}
    command = ("jobs", "show", "tasks:app", "foreign", "-q", "default")
    with Program(*command, folder=tmp_path, environment=environment) as program:
        assert program.wait() == 0
    lines = program.text("out").splitlines()
    assert {"state     dead: malformed", r'payload   18 bytes: {"gate":"\xff\x1b[31m\n"}'} <= set(lines)
    with Program(*command, "--json", folder=tmp_path, environment=environment) as program:
        assert program.wait() == 0
    assert json.loads(program.text("out"))["payload"] == r'{"gate":"\xff\x1b[31m\n"}'
