"""What signals do to a worker and to a supervisor, also while the event loop or stderr is blocked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from aioq import JobState
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import TIMEOUT, Client, wait_until

TASKS = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", job_id=ctx["job_id"], pid=os.getpid())
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    return ctx["worker_id"]


@app.task(name="block")
async def block_the_loop(ctx, gate: str) -> None:
    emit("started", job_id=ctx["job_id"], pid=os.getpid())
    while not Path(gate).exists():
        time.sleep(0.01)


@app.task(name="flood")
async def flood(ctx, gate: str) -> None:
    Path("flooding").touch()
    while True:
        print("x" * 10_000)
"""


@pytest.fixture(autouse=True)
def _tasks(write_tasks: Callable[[str], None]) -> None:
    write_tasks(TASKS)


@pytest.mark.parametrize("options", [(), ("--processes", "2")])
def test_signals_without_meaning_are_ignored(start_worker: StartWorker, options: Sequence[str]) -> None:
    """SIGUSR1 and SIGUSR2 end neither a worker nor a supervisor."""
    worker = start_worker(*options)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        worker.send(number)
        worker.wait_for(f"received {number.name}, which has no meaning here")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


def test_sigquit_writes_stacks_and_worker_goes_on(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """SIGQUIT writes the stacks of threads and of tasks, with the line at which a job waits; the job then ends."""
    worker = start_worker()
    job_id = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    worker.send(signal.SIGQUIT)
    worker.wait_for("End of the stacks of process")
    assert "Thread MainThread (most recent call last):" in worker.text()
    assert "await anyio.sleep(0.01)" in worker.text()
    (tmp_path / "gate").touch()
    assert client.result(job_id)


def test_sigquit_blocked_loop_shows_where(start_worker: StartWorker, client: Client, tmp_path: Path) -> None:
    """SIGQUIT writes the stacks also while a task blocks the event loop."""
    worker = start_worker()
    client.hold(tmp_path / "gate", name="block")
    worker.wait_for_event("started")
    worker.send(signal.SIGQUIT)
    worker.wait_for("End of the stacks of process")
    assert "in block_the_loop" in worker.text()
    (tmp_path / "gate").touch()


def test_sigquit_to_supervisor_shows_stacks_of_its_workers(
    start_worker: StartWorker, client: Client, tmp_path: Path
) -> None:
    """The supervisor forwards SIGQUIT, and all processes go on."""
    fleet = start_worker("--processes", "2")
    fleet.wait_for("INFO aioq.worker: worker .* started", times=2)
    fleet.send(signal.SIGQUIT)
    fleet.wait_for("End of the stacks of process", times=3)
    job_id = client.hold(tmp_path / "gate")
    (tmp_path / "gate").touch()
    assert client.result(job_id)


def test_sighup_ignored_by_nohup_stays_ignored(
    run_worker: StartWorker, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was started with SIGHUP ignored, as by nohup, does not stop at it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        worker = run_worker()
    finally:
        signal.signal(signal.SIGHUP, before)
    worker.wait_for("INFO aioq.worker: worker .* started")
    worker.send(signal.SIGHUP)
    worker.send(signal.SIGUSR1)
    worker.wait_for("received SIGUSR1")
    job_id = client.hold(tmp_path / "gate")
    (tmp_path / "gate").touch()
    assert client.result(job_id)
    assert "SIGHUP" not in worker.text()


def test_second_sigterm_ends_worker_with_blocked_loop(
    start_worker: StartWorker, client: Client, tmp_path: Path
) -> None:
    """If a task blocks the event loop, the second SIGTERM ends the process with a code of its own."""
    worker = start_worker()
    client.hold(tmp_path / "gate", name="block")
    worker.wait_for_event("started")
    for times in (1, 2):
        worker.send(signal.SIGTERM)
        worker.wait_for("received SIGTERM", times=times)
    assert worker.wait() == 143
    assert "exiting: the event loop does not answer" in worker.text()


@contextmanager
def unread(
    folder: Path, environment: dict[str, str], *options: str
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a worker with stdout and stderr on a pipe that is full as soon as something is written to it."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as reader, os.fdopen(write_end, "wb") as writer:
        os.set_blocking(writer.fileno(), False)
        try:
            while True:
                os.write(writer.fileno(), b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writer.fileno(), True)
        process = subprocess.Popen(
            [sys.executable, "-m", "aioq", "worker", "tasks:app", *options],
            cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
        )  # fmt: skip
        try:
            yield process, reader
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("options", [(), ("--processes", "2")])
def test_blocked_stderr_delays_neither_jobs_nor_sigterm(
    client: Client, tmp_path: Path, redis_url: str, namespace: str, options: Sequence[str]
) -> None:
    """A worker or supervisor whose stderr nobody reads runs jobs, and ends with code 0 at the first SIGTERM."""
    (tmp_path / "tasks.py").write_text((tmp_path / "tasks.py").read_text().replace("sys.stdout.write", "len"))
    environment = {"TEST_URL": redis_url, "TEST_NAMESPACE": namespace}
    with unread(tmp_path, environment, *options) as (process, _):
        (tmp_path / "gate").touch()
        assert client.result(client.hold(tmp_path / "gate"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0


def test_second_sigterm_ends_worker_whose_task_prints_to_full_pipe(
    client: Client, tmp_path: Path, redis_url: str, namespace: str
) -> None:
    """A task that prints to a pipe that nobody reads blocks the event loop; the second SIGTERM ends the process."""
    with unread(tmp_path, {"TEST_URL": redis_url, "TEST_NAMESPACE": namespace}) as (process, _):
        job_id = client.hold(tmp_path / "gate", name="flood")
        wait_until("the print", (tmp_path / "flooding").exists)

        def asked_again() -> bool:
            process.send_signal(signal.SIGTERM)  # two at once could arrive as one
            return process.poll() is not None

        wait_until("the end", asked_again)
        assert process.returncode == 143
        assert client.record(job_id).state is JobState.RUNNING


ADOPT = """
import ctypes, os, sys
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
os.execv(sys.executable, [sys.executable, "-m", "aioq", "worker", "tasks:app", "--processes", "2"])
"""

ORPHAN = """

@app.task(name="orphan")
def orphan(ctx, gate: str) -> str:
    import subprocess
    shell = "(read gate < gate) > /dev/null 2>&1 & echo $!"
    pid = subprocess.run(shell, shell=True, check=True, capture_output=True, text=True).stdout.strip()
    return pid
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a process adopt orphans")
def test_supervisor_collects_adopted_processes(client: Client, tmp_path: Path, redis_url: str, namespace: str) -> None:
    """A supervisor that adopts orphans, as the first process of a container does, leaves no zombie of them."""
    tasks = tmp_path / "tasks.py"
    tasks.write_text(tasks.read_text() + ORPHAN)
    os.mkfifo(tmp_path / "gate")
    environment = {**os.environ, "TEST_URL": redis_url, "TEST_NAMESPACE": namespace}
    with subprocess.Popen([sys.executable, "-c", ADOPT], cwd=tmp_path, env=environment) as supervisor:
        try:
            pid = client.result(client.hold(tmp_path / "gate", name="orphan"))
            process = Path("/proc", pid)
            parent = f"PPid:\t{supervisor.pid}"
            wait_until("the adoption", lambda: parent in (process / "status").read_text().splitlines())
            (tmp_path / "gate").write_text("open\n")
            wait_until("the end of the orphan", lambda: not process.exists())
        finally:
            supervisor.terminate()
