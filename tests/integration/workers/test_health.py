"""`aioq worker --health-port`: probes of real worker processes, through starts, stops, outages and crashes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pytest

from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client, Program, wait_until
from tests.servers import RedisServer

HOLD = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", pid=os.getpid())
    while not Path(gate).exists():
        await anyio.sleep(0.01)
    return ctx["worker_id"]
"""
BLOCK = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> None:
    emit("started", pid=os.getpid())
    while not Path(gate).exists():
        time.sleep(0.01)
"""
DEAF = """
@app.task(name="hold", timeout=0.1)
async def hold(ctx, gate: str) -> None:
    with anyio.CancelScope(shield=True):
        while not Path(gate).exists():
            await anyio.sleep(0.01)
"""
SERVED = r"INFO aioq.health: health is served at .*?:?(?:port )?(\d+)(?: of all addresses of this machine)?:? /live"

WriteTasks = Callable[[str], None]


class Answer(NamedTuple):
    """Status and text of an answer."""

    status: int
    text: str


def ask(program: Program, path: str, *, accept: str = "*/*", timeout: float = 10) -> Answer:
    """Ask a worker that has said on which port it serves its health."""
    found = re.search(SERVED, program.wait_for(SERVED).text)
    assert found is not None
    connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=timeout)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode())
    finally:
        connection.close()


def facts(program: Program, path: str) -> dict[str, Any]:
    """Return the JSON of an answer."""
    decoded: dict[str, Any] = json.loads(ask(program, path, accept="application/json").text)
    return decoded


def wait_for_status(program: Program, path: str, status: int) -> Answer:
    """Ask until the answer has a status, and return it."""
    answers: list[Answer] = []

    def asked() -> bool:
        answers.append(ask(program, path))
        return answers[-1].status == status

    wait_until(f"{status} of {path}", asked)
    return answers[-1]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_worker_is_ready_and_drains(
    run_worker: StartWorker, write_tasks: WriteTasks, client: Client, tmp_path: Path, loop: str
) -> None:
    """It is ready when it claims; after SIGTERM it is live and not ready until its job has ended."""
    pytest.importorskip(loop)
    write_tasks(HOLD)
    worker = run_worker("--health-port", "0", "-c", "3", "--loop", loop)
    wait_for_status(worker, "/ready", 200)
    job = client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    answer = ask(worker, "/live")
    assert re.fullmatch(r"live\nworker \S+: 1 of 3 slots taken; queues default\n", answer.text)
    assert answer.status == 200
    worker.send(signal.SIGTERM)
    stopping = wait_for_status(worker, "/ready", 503)
    assert re.fullmatch(r"worker \S+: it is stopping, and claims no more: 1 jobs are running\n", stopping.text)
    assert facts(worker, "/ready")["workers"][0]["phase"] == "draining"
    assert ask(worker, "/live").status == 200
    (tmp_path / "gate").touch()
    assert client.result(job) in worker.text()
    assert worker.wait() == 0


def test_worker_is_not_ready_during_its_lifespan(
    run_worker: StartWorker, write_tasks: WriteTasks, tmp_path: Path
) -> None:
    """While the application prepares, the worker is live, and not ready."""
    write_tasks(
        """
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def lifespan(app):
            while not Path("gate").exists():
                await anyio.sleep(0.01)
            yield

        app = Aarq(broker=app.broker, lifespan=lifespan)

        @app.task
        async def work(ctx) -> None: ...
        """
    )
    worker = run_worker("--health-port", "0")
    wait_until(
        "a worker in its lifespan", lambda: "the lifespan of the app has not begun yet" in ask(worker, "/ready").text
    )
    assert ask(worker, "/live").status == 200
    (tmp_path / "gate").touch()
    wait_for_status(worker, "/ready", 200)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_worker_is_not_ready_in_an_outage(
    write_tasks: WriteTasks, start_server: Callable[..., RedisServer], namespace: str, tmp_path: Path, fault: str
) -> None:
    """While the server is gone, or hangs, the worker is live and not ready, and says since when; then it is ready."""
    write_tasks(HOLD)
    server = start_server()
    environment = {"TEST_URL": server.url, "TEST_NAMESPACE": namespace}
    with Program("worker", "tasks:app", "--health-port", "0", folder=tmp_path, environment=environment) as worker:
        wait_for_status(worker, "/ready", 200)
        getattr(server, fault)()
        away = wait_for_status(worker, "/ready", 503)
        assert re.match(r"worker \S+: the broker does not answer, for \d+ s by now: \S", away.text)
        assert away.text.count("\n") == 1
        assert re.match(r"20\d\d-\d\d-\d\dT", facts(worker, "/ready")["workers"][0]["outage_since"])
        assert ask(worker, "/live").status == 200
        server.start() if fault == "kill" else server.resume()
        wait_for_status(worker, "/ready", 200)
        assert facts(worker, "/ready")["workers"][0]["outage_since"] is None


def test_worker_with_stuck_slots_is_not_live(
    run_worker: StartWorker, write_tasks: WriteTasks, client: Client, tmp_path: Path
) -> None:
    """With `--max-stuck` stuck slots the worker is not live while it leaves."""
    write_tasks(DEAF)
    worker = run_worker("--health-port", "0", "--max-stuck", "1")
    wait_for_status(worker, "/ready", 200)
    client.hold(tmp_path / "gate")
    stuck = wait_for_status(worker, "/live", 503)
    assert re.match(r"worker \S+: 1 of 10 slots are stuck: their tasks go on", stuck.text)
    (tmp_path / "gate").touch()
    assert worker.wait() == 70


def test_worker_with_a_blocked_loop_does_not_answer(
    run_worker: StartWorker, write_tasks: WriteTasks, client: Client, tmp_path: Path
) -> None:
    """A probe runs into its timeout, and is answered when the event loop turns again."""
    write_tasks(BLOCK)
    worker = run_worker("--health-port", "0")
    wait_for_status(worker, "/ready", 200)
    client.hold(tmp_path / "gate")
    worker.wait_for_event("started")
    with pytest.raises(TimeoutError):
        ask(worker, "/live", timeout=0.5)
    (tmp_path / "gate").touch()
    wait_for_status(worker, "/live", 200)


@pytest.fixture(params=["asyncio", "uvloop"])
def fleet(run_worker: StartWorker, write_tasks: WriteTasks, request: pytest.FixtureRequest) -> Program:
    """Two worker processes that are ready."""
    pytest.importorskip(request.param)
    write_tasks(HOLD)
    fleet = run_worker("--health-port", "0", "--processes", "2", "-c", "1", "--loop", request.param)
    wait_until("two workers", lambda: len(facts(fleet, "/ready")["workers"]) == 2)
    wait_until("no notes", lambda: facts(fleet, "/ready")["notes"] == [])
    return fleet


def test_supervisor_answers_for_all_processes(fleet: Program, client: Client, tmp_path: Path) -> None:
    """Both workers are in the answer, and while they drain none is ready."""
    jobs = [client.hold(tmp_path / "gate") for _ in range(2)]
    started = {fleet.wait_for_event("started", times=times)["pid"] for times in (1, 2)}
    wait_until("two jobs", lambda: [one["running"] for one in facts(fleet, "/live")["workers"]] == [1, 1])
    assert {one["pid"] for one in facts(fleet, "/live")["workers"]} == started
    fleet.send(signal.SIGTERM)
    lines = wait_for_status(fleet, "/ready", 503).text.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        assert re.fullmatch(
            rf"worker process {number} \(pid \d+\): it is stopping, and claims no more: 1 jobs .*", line
        )
    assert ask(fleet, "/live").status == 200
    (tmp_path / "gate").touch()
    assert {client.result(job).split("-")[-2] for job in jobs} == {str(pid) for pid in started}
    assert fleet.wait() == 0


def test_supervisor_with_a_killed_process_stays_ready(fleet: Program) -> None:
    """The other worker is ready; a note says that the process starts, until it is ready, too."""
    before = {one["pid"] for one in facts(fleet, "/ready")["workers"]}
    victim = before.copy().pop()
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        answer = facts(fleet, "/ready")
        assert answer["ready"] is True
        for note in answer["notes"]:
            assert re.match(r"worker process \d( \(pid \d+\))?: it ", note)
        now = {one["pid"] for one in answer["workers"]}
        return len(now) == 2 and victim not in now and not answer["notes"]

    wait_until("another process", replaced)
    assert ask(fleet, "/live").status == 200


def test_supervisor_with_a_silent_process_is_not_live(fleet: Program) -> None:
    """A process that has not answered for ten seconds makes the supervisor not live, and the other one is ready."""
    victim = facts(fleet, "/ready")["workers"][0]["pid"]
    os.kill(victim, signal.SIGSTOP)
    try:
        silent = wait_for_status(fleet, "/live", 503)
        assert re.fullmatch(
            rf"worker process \d \(pid {victim}\): it has not answered for 1\d s: see its log\n", silent.text
        )
        assert ask(fleet, "/ready").status == 200
    finally:
        os.kill(victim, signal.SIGCONT)
    wait_for_status(fleet, "/live", 200)


def test_supervisor_removes_its_folder(fleet: Program) -> None:
    """The sockets of the processes are gone with it."""
    words = Path(f"/proc/{facts(fleet, '/ready')['workers'][0]['pid']}/cmdline").read_bytes().decode().split("\0")
    folder = Path(words[words.index("--health-socket") + 1]).parent
    assert folder.is_dir()
    fleet.send(signal.SIGTERM)
    assert fleet.wait() == 0
    assert not folder.exists()


def test_port_in_use_ends_the_worker_before_it_claims(
    run_worker: StartWorker, write_tasks: WriteTasks, client: Client, tmp_path: Path
) -> None:
    """One line says what to do, and the app is not even imported."""
    write_tasks("""emit("imported")\n""" + HOLD)
    client.hold(tmp_path / "gate")
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        for more in ([], ["--processes", "2"]):
            worker = run_worker("--health-port", str(port), *more)
            assert worker.wait() == 78
            assert worker.text() == (
                f"aioq: worker: port {port} is in use by another program; choose another --health-port, or 0 for any "
                "that is free"
            )
            assert worker.text("out") == ""


@pytest.mark.parametrize("more", [[], ["--processes", "2", "--burst"]])
def test_errors_at_the_start_keep_their_exit_code(write_tasks: WriteTasks, tmp_path: Path, more: list[str]) -> None:
    """A broker that cannot be reached ends the worker, or a burst of several, with 69, as without the option."""
    write_tasks(HOLD)
    environment = {"TEST_URL": f"unix://{tmp_path}/absent", "TEST_NAMESPACE": "none"}
    options = ("--health-port", "0", *more)
    with Program("worker", "tasks:app", *options, folder=tmp_path, environment=environment) as worker:
        assert worker.wait() == 69
        assert "Traceback" not in worker.text()
        worker.wait_for(r"^aioq: unix://\S+/absent\S* is unavailable: ")


def test_reload_opens_the_port_again(start_worker: StartWorker, write_tasks: WriteTasks) -> None:
    """The worker that starts after a change listens at the same port as the one before."""
    write_tasks(HOLD)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    worker = start_worker("--health-port", str(port), "--health-host", "127.0.0.1", "--reload")
    (before,) = facts(worker, "/live")["workers"]
    write_tasks(f"{HOLD}\n# changed\n")
    worker.wait_for("INFO aioq.worker: worker .* started", times=2)
    (after,) = facts(worker, "/live")["workers"]
    assert after["pid"] != before["pid"]
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


def test_burst_answers_until_its_end(
    run_worker: StartWorker, write_tasks: WriteTasks, client: Client, tmp_path: Path
) -> None:
    """A burst is ready while it runs jobs."""
    write_tasks(HOLD)
    client.hold(tmp_path / "gate")
    worker = run_worker("--health-port", "0", "--burst")
    worker.wait_for_event("started")
    wait_for_status(worker, "/ready", 200)
    (tmp_path / "gate").touch()
    assert worker.wait() == 0


def test_without_h11_one_line_says_what_to_install(
    run_worker: StartWorker, write_tasks: WriteTasks, tmp_path: Path
) -> None:
    """The option needs the extra; a worker without the option does not import h11."""
    write_tasks("""emit("imported", h11="h11" in sys.modules)\n""" + HOLD)
    worker = run_worker("--burst")
    assert worker.wait() == 0
    assert worker.events("imported") == [worker.wait_for_event("imported") | {"h11": False}]
    # Found first, on the path of the interpreter: it hides the package as if it were not installed.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['h11'] = None\n")
    with Program(
        "worker", "tasks:app", "--health-port", "0", folder=tmp_path, environment={"PYTHONPATH": str(tmp_path)}
    ) as worker:
        assert worker.wait() == 78
        assert worker.text() == 'aioq: h11 is not installed; run: pip install "aioq-core[health]"'


def test_slow_clients_do_not_delay_jobs(
    run_worker: StartWorker, write_tasks: WriteTasks, client: Client, tmp_path: Path
) -> None:
    """Jobs run and probes are answered while 200 clients send their requests slowly, or garbage."""
    write_tasks(HOLD)
    (tmp_path / "gate").touch()
    worker = run_worker("--health-port", "0")
    wait_for_status(worker, "/ready", 200)
    found = re.search(SERVED, worker.text())
    assert found is not None
    with ExitStack() as slow:
        for number in range(200):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", int(found[1]))))
            with suppress(ConnectionError):  # the oldest are cut off
                connection.sendall(os.urandom(50) if number % 2 else b"GET /live HTTP/1.1\r\nX: ")
        assert client.result(client.hold(tmp_path / "gate")) in worker.text()
        assert ask(worker, "/live").status == 200
    assert "Traceback" not in worker.text()


EXPORTER = """
import os
from pathlib import Path


class Exporter:
    content_type = "text/metrics"

    def __init__(self, app):
        self._app = app

    async def render(self):
        folder = os.environ.get("SHOP_METRICS")
        files = sorted(path.name for path in Path(folder).iterdir()) if folder else []
        return f"{self._app.name} {' '.join(files)}\\n".encode()


class Provider:
    def __call__(self, app):
        if folder := os.environ.get("SHOP_METRICS"):
            Path(folder, f"{os.getpid()}.up").touch()
        return Exporter(app)

    def share(self, folder):
        return {"SHOP_METRICS": str(folder)}

    def forget(self, folder, pid):
        Path(folder, f"{pid}.up").unlink()


provider = Provider()
"""


@pytest.fixture
def exporter(write_tasks: WriteTasks, tmp_path: Path) -> dict[str, str]:
    """Install a package that exports metrics; return the environment variables with which it is found."""
    write_tasks(HOLD)
    (tmp_path / "shop_metrics.py").write_text(dedent(EXPORTER))
    # By this name it hides aioq-prometheus, which may be installed: several exporters are an error.
    info = tmp_path / "aioq_prometheus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aioq-prometheus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aioq.exporters]\nshop = shop_metrics:provider\n")
    return {"PYTHONPATH": str(tmp_path)}


def test_metrics_of_one_worker(exporter: dict[str, str], redis_url: str, namespace: str, tmp_path: Path) -> None:
    """`/metrics` is what the exporter of the installed package renders of the app."""
    environment = {"TEST_URL": redis_url, "TEST_NAMESPACE": namespace, **exporter}
    with Program("worker", "tasks:app", "--health-port", "0", folder=tmp_path, environment=environment) as worker:
        assert ask(worker, "/metrics") == Answer(200, "tasks \n")


def test_metrics_of_several_processes(exporter: dict[str, str], redis_url: str, namespace: str, tmp_path: Path) -> None:
    """One process answers for all, by the folder that they share; one that was killed is forgotten."""
    environment = {"TEST_URL": redis_url, "TEST_NAMESPACE": namespace, **exporter}
    options = ("--health-port", "0", "--processes", "2")
    with Program("worker", "tasks:app", *options, folder=tmp_path, environment=environment) as fleet:

        def pids() -> set[int]:
            return {int(pid) for pid in re.findall(r"(\d+)\.up", ask(fleet, "/metrics").text)}

        wait_until("two processes", lambda: len(pids()) == 2)
        victim = pids().pop()
        os.kill(victim, signal.SIGKILL)
        wait_until("another process", lambda: len(found := pids()) == 2 and victim not in found)
        fleet.send(signal.SIGTERM)
        assert fleet.wait() == 0
