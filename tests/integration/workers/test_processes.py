"""`aioq worker --processes N`: a supervisor and its workers as real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aioq import JobState
from tests.access import as_user, definition
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client, Program, wait_until
from tests.servers import RedisServer

HOLD = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", job_id=ctx["job_id"], pid=os.getpid())
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    emit("ended", job_id=ctx["job_id"])
    return ctx["worker_id"]
"""
UP = "INFO aioq.worker: worker .* started"
FAST = ("--lease", "1")

StartFleet = Callable[..., Program]


@pytest.fixture
def start_fleet(start_worker: StartWorker, write_tasks: Callable[[str], None]) -> StartFleet:
    """Return a function that starts two worker processes with one slot each, and waits until both are up."""
    write_tasks(HOLD)

    def start(*options: str) -> Program:
        fleet = start_worker("--processes", "2", "-c", "1", *options)
        fleet.wait_for(UP, times=2)
        return fleet

    return start


def pids(fleet: Program) -> list[int]:
    """Return the process ids of a fleet, in the order of their start."""
    return [int(pid) for pid in re.findall(r"worker process \d started \(pid (\d+)\)", fleet.text())]


def is_up(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


def test_processes_run_jobs_at_the_same_time(start_fleet: StartFleet, client: Client, tmp_path: Path) -> None:
    """Two processes with one slot each run two jobs at the same time."""
    fleet = start_fleet()
    jobs = {client.hold(tmp_path / "gate") for _ in range(2)}
    fleet.wait_for_event("started", times=2)
    (tmp_path / "gate").touch()
    assert {client.result(job_id).split("-")[-2] for job_id in jobs} == {str(pid) for pid in pids(fleet)}


def test_processes_hide_the_broker_url(tmp_path: Path, start_server: Callable[..., RedisServer]) -> None:
    """Neither the supervisor nor a worker shows the password in its arguments or its name."""
    server = start_server(tcp=True)
    with server.client() as connection:
        redis: Any = connection
        redis.execute_command("ACL", "SETUSER", *definition("aioq"))
    (tmp_path / "tasks.py").write_text("from aioq import Aarq\napp = Aarq()\n")
    environment = {"AIOQ_BROKER_URL": as_user(server.open_url, "aioq")}
    with Program("worker", "tasks:app", "--processes", "2", folder=tmp_path, environment=environment) as fleet:
        fleet.wait_for(UP, times=2)
        workers = pids(fleet)
        shown = ps("args", *workers) + ps("comm", *workers)
        supervisor = int(ps("ppid", workers[0]))
        shown += ps("args", supervisor) + ps("comm", supervisor)
        fleet.send(signal.SIGTERM)
        assert fleet.wait() == 0
    assert shown.count("tasks:app") == 3
    assert "user-of-aioq" not in shown
    assert [secret for secret in ("se%3Acr%40t", "se:cr@t") if secret in shown + fleet.text() + fleet.text("out")] == []


def ps(column: str, *pids: int) -> str:
    """Return a column of the process list."""
    command = ["ps", "-o", f"{column}=", "-p", ",".join(map(str, pids))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_killed_process_is_replaced_and_its_job_reruns(start_fleet: StartFleet, client: Client, tmp_path: Path) -> None:
    """After kill -9 of one process there are two again, and no job is lost."""
    fleet = start_fleet(*FAST)
    jobs = [client.hold(tmp_path / "gate") for _ in range(2)]
    victim = fleet.wait_for_event("started", times=2)["pid"]
    os.kill(victim, signal.SIGKILL)
    fleet.wait_for(rf"WARNING aioq.supervisor: worker process \d \(pid {victim}\) was killed by SIGKILL")
    fleet.wait_for_event("started", times=3)
    (tmp_path / "gate").touch()
    done = {client.result(job_id) for job_id in jobs}
    assert {record.state for record in map(client.record, jobs)} == {JobState.COMPLETED}
    assert len(pids(fleet)) == 3
    assert not any(f"-{victim}-" in worker for worker in done)
    fleet.send(signal.SIGTERM)
    assert fleet.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_processes_signal_drains_all(
    start_fleet: StartFleet, client: Client, tmp_path: Path, number: signal.Signals
) -> None:
    """All running jobs end, nothing more is claimed, no process remains, and the exit code is 0."""
    fleet = start_fleet()
    jobs = [client.hold(tmp_path / "gate") for _ in range(2)]
    fleet.wait_for_event("started", times=2)
    fleet.send(number)
    fleet.wait_for("stopping: 1 jobs have up to 25 s to end", times=2)
    late = client.hold(tmp_path / "gate")
    (tmp_path / "gate").touch()
    assert fleet.wait() == 0
    assert {client.record(job_id).state for job_id in jobs} == {JobState.COMPLETED}
    assert client.record(late).state is JobState.PENDING
    assert not any(map(is_up, pids(fleet)))


def test_processes_signal_to_each_process_drains(start_fleet: StartFleet, client: Client, tmp_path: Path) -> None:
    """A service manager may signal each process of a service; the workers do not abort."""
    fleet = start_fleet()
    jobs = [client.hold(tmp_path / "gate") for _ in range(2)]
    fleet.wait_for_event("started", times=2)
    fleet.send(signal.SIGTERM)
    fleet.wait_for("stopping: 1 jobs", times=2)
    for pid in pids(fleet):
        os.kill(pid, signal.SIGTERM)
    fleet.wait_for("aioq.supervisor: received SIGTERM", times=3)
    (tmp_path / "gate").touch()
    assert fleet.wait() == 0
    assert {client.record(job_id).state for job_id in jobs} == {JobState.COMPLETED}


def test_processes_second_signal_aborts_all(start_fleet: StartFleet, client: Client, tmp_path: Path) -> None:
    """The jobs are released at once and their attempts do not count; the exit code is 0."""
    fleet = start_fleet()
    jobs = [client.hold(tmp_path / "gate") for _ in range(2)]
    fleet.wait_for_event("started", times=2)
    fleet.send(signal.SIGINT)
    fleet.wait_for("stopping: 1 jobs", times=2)
    fleet.send(signal.SIGINT)
    assert fleet.wait() == 0
    assert [(record.state, record.attempt) for record in map(client.record, jobs)] == [(JobState.PENDING, 0)] * 2


def test_process_stopped_by_hand_is_replaced(start_fleet: StartFleet, client: Client, tmp_path: Path) -> None:
    """One process drains and another one replaces it, so a fleet can be renewed without an interruption."""
    fleet = start_fleet()
    job_id = client.hold(tmp_path / "gate")
    pid = fleet.wait_for_event("started")["pid"]
    os.kill(pid, signal.SIGTERM)
    fleet.wait_for("stopping: 1 jobs")
    (tmp_path / "gate").touch()
    fleet.wait_for(rf"INFO aioq.supervisor: worker process \d \(pid {pid}\) ended with exit code 0")
    fleet.wait_for(UP, times=3)
    assert client.record(job_id).state is JobState.COMPLETED
    fleet.send(signal.SIGTERM)
    assert fleet.wait() == 0


def test_processes_drain_when_supervisor_is_killed(start_fleet: StartFleet, client: Client, tmp_path: Path) -> None:
    """If the supervisor is killed, its workers claim nothing more, let their jobs end, and exit."""
    fleet = start_fleet()
    job_id = client.hold(tmp_path / "gate")
    fleet.wait_for_event("started")
    fleet.send(signal.SIGKILL)
    fleet.wait_for("WARNING aioq.supervisor: the supervisor of this worker has died: stopping", times=2)
    fleet.wait_for("stopping: 1 jobs")
    (tmp_path / "gate").touch()
    assert client.result(job_id)
    for pid in pids(fleet):
        wait_until(f"the end of process {pid}", lambda pid=pid: not is_up(pid))  # type: ignore[misc]


def test_process_that_exits_at_once_restarts_with_backoff(
    write_tasks: Callable[[str], None], run_worker: StartWorker
) -> None:
    """The supervisor starts it again after growing pauses, until the supervisor is stopped."""
    write_tasks("os._exit(7)")
    fleet = run_worker("--processes", "2")
    for pause in ("0.25", "0.5", "1"):
        fleet.wait_for(rf"WARNING aioq.supervisor: restarting worker process 1 in {pause} s")
    fleet.send(signal.SIGTERM)
    assert fleet.wait() == 1
    assert "worker process 2 (pid " in fleet.text()
    assert "ended with exit code 7" in fleet.text()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("raise ValueError('half of a deploy')", 2),
        ("import aioq; raise aioq.BrokerConfigError('no such database')", 78),
    ],
)
def test_process_with_config_error_is_not_restarted(
    write_tasks: Callable[[str], None], run_worker: StartWorker, text: str, code: int
) -> None:
    """An error in the arguments or the configuration ends all processes, with its exit code."""
    write_tasks(text)
    fleet = run_worker("--processes", "2")
    assert fleet.wait() == code
    assert len(pids(fleet)) == 2
    assert "would fail again in the same way; stopping all worker processes" in fleet.text()


def test_processes_burst_ends_by_itself(start_fleet: StartFleet, client: Client, tmp_path: Path) -> None:
    """All processes end when the queue is empty, and none is started again."""
    (tmp_path / "gate").touch()
    jobs = [client.hold(tmp_path / "gate") for _ in range(4)]
    fleet = start_fleet("--burst")
    assert fleet.wait() == 0
    assert {client.record(job_id).state for job_id in jobs} == {JobState.COMPLETED}
    assert len(pids(fleet)) == 2


def test_processes_in_lifespan_startup_end_on_signal(
    run_worker: StartWorker, write_tasks: Callable[[str], None]
) -> None:
    """A signal ends a lifespan that waits during startup, and the exit code is 0."""
    write_tasks(
        """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(app):
    emit("starting")
    await anyio.sleep_forever()
    yield

app.lifespan = lifespan
"""
    )
    fleet = run_worker("--processes", "2")
    fleet.wait_for_event("starting", times=2)
    fleet.send(signal.SIGTERM)
    assert fleet.wait() == 0


def test_processes_stuck_worker_is_replaced(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path
) -> None:
    """A worker whose slots are stuck leaves with exit code 70, and the supervisor starts another one."""
    write_tasks(
        """
import aioq.worker.overruns
import aioq.worker.worker

aioq.worker.overruns.STUCK_AFTER = 0.7
aioq.worker.worker.SHUTDOWN_TIMEOUT = 0.5

@app.task(name="hold", timeout=0.1)
async def hold(ctx, gate: str) -> None:
    emit("started")
    while not Path(gate).exists():
        try:
            await anyio.sleep(0.1)
        except BaseException:
            emit("deaf")
"""
    )
    fleet = start_worker("--processes", "2", "-c", "2", "--max-stuck", "1")
    fleet.wait_for(UP, times=2)
    job_id = client.hold(tmp_path / "gate")
    fleet.wait_for(r"ERROR aioq.worker: 1 of 2 slots are stuck, as many as max_stuck allows")
    fleet.wait_for(r"worker process \d \(pid \d+\) ended with exit code 70")
    fleet.wait_for(UP, times=3)
    record = client.record(job_id)
    assert (record.state, record.attempt, record.crashes) == (JobState.FAILED, 1, 0)


def test_processes_with_max_jobs_are_replaced_at_once(
    start_worker: StartWorker, write_tasks: Callable[[str], None], client: Client, tmp_path: Path
) -> None:
    """A process that has run its jobs ends and is replaced without a delay, and no job is lost."""
    write_tasks(HOLD)
    gate = tmp_path / "gate"
    gate.touch()
    for _ in range(6):
        client.hold(gate)
    fleet = start_worker("--processes", "2", "-c", "1", "--max-jobs", "2")
    fleet.wait_for_event("ended", times=6)
    wait_until("processes have been replaced", lambda: len(pids(fleet)) > 3)
    fleet.send(signal.SIGTERM)
    assert fleet.wait() == 0
    by_process = Counter(event["pid"] for event in fleet.events("started"))
    assert max(by_process.values()) == 2
    assert "ended with exit code 75" in fleet.text()
    assert "restarting worker process" not in fleet.text()
