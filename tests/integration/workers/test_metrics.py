"""Metrics of a worker process agree with what it did, also after an outage of the server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import TIMEOUT, Program, wait_until
from tests.prometheus.conftest import Samples, nonzero, samples_of
from tests.servers import RedisServer

APP = """
import asyncio
import signal
from contextlib import asynccontextmanager
import aioq_prometheus
from aioq import JobContext, JobEvent
from aioq_prometheus import broker_facts

broker_facts.MAX_AGE, broker_facts.SHARE = 0.0, float("inf")  # each scrape asks the broker
aioq_prometheus.instrument(app)


async def scrape():
    exporter = aioq_prometheus.exporter(app)
    text, openmetrics = await exporter.render(), await exporter.render("application/openmetrics-text; version=1.0.0")
    Path("metrics.txt").write_bytes(text)
    Path("metrics.om").write_bytes(openmetrics)
    emit("scraped")


@asynccontextmanager
async def lifespan(app):
    scrapes = set()
    handler = lambda: scrapes.add(asyncio.create_task(scrape()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, handler)
    yield {}


app.lifespan = lifespan
for event in (JobEvent.COMPLETED, JobEvent.FAILED, JobEvent.EXPIRED, JobEvent.DEAD):
    app.on(event, lambda fact: emit("ended"))
app.on(JobEvent.CANCELLED, lambda fact: emit("cancelled") if fact.worker_id else None)


@app.task(name="fine")
def fine(ctx: JobContext) -> None:
    time.sleep(0.05)


@app.task(name="fails", retries=1, retry_delay=0)
async def fails(ctx: JobContext) -> None:
    raise ValueError("no such order")


@app.task(name="late")
async def late(ctx: JobContext) -> None:
    pass


@app.task(name="poison", queue="poison", max_crashes=1)
async def poison(ctx: JobContext) -> None:
    emit("runs")
    while not Path("die").exists():
        await anyio.sleep(0.01)
    os._exit(9)


@app.task(name="held", queue="held")
async def held(ctx: JobContext) -> None:
    emit("holds")
    await anyio.sleep_forever()


@app.cron("@every 1s", name="sweep")
async def sweep(ctx) -> None:
    emit("swept")
"""

CLIENT = """
import asyncio
import sys
from tasks import app, fails, fine, held, late, poison, scrape

async def main(what):
    async with app:
        if what == "poison":
            await poison.enqueue()
        elif what == "jobs":
            await fine.enqueue_many([fine.call(), fine.call(), fine.call()])
            await fails.enqueue()
            await late.options(expires=0.001).enqueue()
            await (await fine.options(job_id="cancelled").enqueue()).cancel()
            await scrape()
        elif what == "hold":
            await held.options(job_id="held").enqueue()
        elif what == "cancel":
            assert await held.job("held").cancel()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def server(start_server: Callable[..., RedisServer]) -> RedisServer:
    """A server that the test stops."""
    return start_server()


@pytest.fixture
def environment(server: RedisServer, namespace: str) -> Mapping[str, str]:
    """The environment of the client and of the workers."""
    return {"TEST_URL": server.url, "TEST_NAMESPACE": namespace}


@pytest.fixture
def run_client(
    tmp_path: Path, environment: Mapping[str, str], write_tasks: Callable[[str], None]
) -> Callable[[str], None]:
    """Return a function that lets a client enqueue."""
    write_tasks(APP)
    (tmp_path / "client.py").write_text(CLIENT)

    def run(what: str) -> None:
        command = [sys.executable, "client.py", what]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, **environment}, check=True, timeout=TIMEOUT)

    return run


@pytest.fixture
def start_worker(tmp_path: Path, environment: Mapping[str, str]) -> Iterator[StartWorker]:
    """Return a function that starts a worker on the test's own server."""
    programs: list[Program] = []

    def start(*options: str) -> Program:
        programs.append(Program("worker", "tasks:app", *options, folder=tmp_path, environment=environment))
        return programs[-1]

    yield start
    for program in programs:
        program.__exit__()


def scraped(worker: Program, folder: Path) -> Samples:
    """Return what a Prometheus server would read of a worker now, which is the same in both formats."""
    before = len(worker.events("scraped"))
    worker.send(signal.SIGUSR1)
    worker.wait_for_event("scraped", times=before + 1)
    text = samples_of((folder / "metrics.txt").read_bytes())
    openmetrics = samples_of((folder / "metrics.om").read_bytes(), openmetrics=True)
    assert text.keys() - openmetrics.keys() == set()
    for name in ("aioq_jobs_total", "aioq_job_duration_seconds_count", "aioq_job_wait_seconds_sum"):
        assert text.get(name) == openmetrics.get(name)
    return text


def test_metrics_agree_with_what_ran(
    tmp_path: Path, run_client: Callable[[str], None], start_worker: StartWorker
) -> None:
    """Each outcome is counted once: completed, retried, failed, expired, dead after a crash, and cancelled while it ran."""
    run_client("jobs")
    client = samples_of((tmp_path / "metrics.txt").read_bytes())
    assert client["aioq_jobs_enqueued_total"] == {
        ("default", "fine"): 4,
        ("default", "fails"): 1,
        ("default", "late"): 1,
    }
    assert nonzero(client["aioq_jobs_total"]) == {("cancelled", "default", "fine"): 1}
    assert client["aioq_queue_jobs"]["default", "pending"] == 5
    assert client["aioq_queue_latency_seconds"]["default",] > 0

    run_client("poison")
    other = start_worker("-q", "poison", "--lease", "1", "-c", "1")
    other.wait_for_event("runs")
    worker = start_worker("--lease", "1", "--concurrency", "7")
    worker.wait_for_event("ended", times=5)
    (tmp_path / "die").touch()
    worker.wait_for_event("ended", times=6)
    run_client("hold")
    worker.wait_for_event("holds")
    run_client("cancel")
    worker.wait_for_event("cancelled")
    worker.wait_for_event("swept")
    found = scraped(worker, tmp_path)
    assert nonzero(found["aioq_jobs_total"]) == {
        ("completed", "default", "fine"): 3,
        ("retried", "default", "fails"): 1,
        ("failed", "default", "fails"): 1,
        ("expired", "default", "late"): 1,
        ("dead", "poison", "poison"): 1,
    }
    runs = {labels: count for labels, count in found["aioq_job_duration_seconds_count"].items() if count}
    assert runs == {
        ("completed", "default", "fine"): 3,
        ("retried", "default", "fails"): 1,
        ("failed", "default", "fails"): 1,
        ("cancelled", "held", "held"): 1,
    }
    assert found["aioq_job_duration_seconds_sum"]["completed", "default", "fine"] >= 3 * 0.05
    swept = len(worker.events("swept"))
    assert 1 <= found["aioq_cron_ticks_total"]["sweep", "fired", "default"] <= swept
    assert 0 <= found["aioq_cron_lateness_seconds_sum"]["sweep", "default"] < swept
    assert (found["aioq_worker_slots"], found["aioq_fleet_slots"]) == ({(): 7}, {(): 7})
    assert found["aioq_queue_workers"] == {("default",): 1, ("held",): 1, ("poison",): 1}
    assert found["aioq_queue_jobs"]["poison", "dead"] == 1
    assert found["aioq_queue_failures"] == {("default",): 2, ("held",): 0, ("poison",): 1}
    assert found["process_resident_memory_bytes"][()] > 0


def test_outage_is_seen_while_it_lasts_and_afterwards(
    tmp_path: Path, run_client: Callable[[str], None], start_worker: StartWorker, server: RedisServer
) -> None:
    """While the server is down a worker tells that; when it is back, the outage has a duration."""
    run_client("poison")  # no worker of this test takes it
    worker = start_worker("-q", "default", "--lease", "3")
    worker.wait_for("started")
    before = scraped(worker, tmp_path)
    assert (before["aioq_broker_up"], before["aioq_broker_workers_cut_off"]) == ({(): 1}, {(): 0})
    server.stop()
    worker.wait_for("broker unavailable")
    during = scraped(worker, tmp_path)
    assert (during["aioq_broker_up"], during["aioq_broker_workers_cut_off"]) == ({(): 0}, {(): 1})
    assert "aioq_queue_jobs" not in during
    server.start()
    worker.wait_for("broker available again")
    after = scraped(worker, tmp_path)
    assert (after["aioq_broker_up"], after["aioq_broker_workers_cut_off"]) == ({(): 1}, {(): 0})
    assert after["aioq_broker_outages_total"] == {("broker",): 1}
    assert after["aioq_broker_outage_seconds_total"]["broker",] > 0
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0


SIMPLE = """
@app.task(name="fine")
async def fine(ctx) -> None:
    emit("ran")
"""

FINE_CLIENT = """
import asyncio
import sys
from tasks import app, fine

async def main(number):
    async with app:
        await fine.enqueue_many([fine.call() for _ in range(number)])

asyncio.run(main(int(sys.argv[1])))
"""


@pytest.fixture
def enqueue(
    tmp_path: Path, environment: Mapping[str, str], write_tasks: Callable[[str], None]
) -> Callable[[int], None]:
    """Return a function that enqueues jobs of an app that does not name aioq_prometheus."""
    write_tasks(SIMPLE)
    (tmp_path / "client.py").write_text(FINE_CLIENT)

    def enqueue(number: int) -> None:
        command = [sys.executable, "client.py", str(number)]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, **environment}, check=True, timeout=TIMEOUT)

    return enqueue


def served(worker: Program) -> Samples:
    """Return what a worker or a supervisor answers at `/metrics`."""
    port = re.search(r"127\.0\.0\.1:(\d+)", worker.wait_for("health is served at").text)
    assert port is not None
    connection = HTTPConnection("127.0.0.1", int(port[1]), timeout=TIMEOUT)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert (answer.status, answer.headers.get_content_type()) == (200, "text/plain"), text
    return samples_of(text)


def completed(worker: Program) -> float:
    """Return how many jobs a worker or its processes have completed, as Prometheus sees it."""
    return served(worker).get("aioq_jobs_total", {}).get(("completed", "default", "fine"), 0)


def test_worker_serves_metrics_without_code(enqueue: Callable[[int], None], start_worker: StartWorker) -> None:
    """With --health-port an app that does not know of metrics has them."""
    enqueue(3)
    worker = start_worker("--health-port", "0", "--health-host", "127.0.0.1")
    worker.wait_for_event("ran", times=3)
    wait_until("three completed jobs", lambda: completed(worker) == 3)
    found = served(worker)
    assert found["aioq_worker_slots"] == found["aioq_fleet_slots"]
    assert found["aioq_queue_workers"] == {("default",): 1}


def test_supervisor_serves_metrics_of_all_processes(enqueue: Callable[[int], None], start_worker: StartWorker) -> None:
    """Counts are those of all processes, also of one that was killed; gauges are those of the living."""
    options = ("--processes", "2", "--lease", "1", "-c", "3", "--health-port", "0", "--health-host", "127.0.0.1")
    supervisor = start_worker(*options)
    supervisor.wait_for(r"INFO aioq.worker: worker .* started", times=2)
    enqueue(40)
    supervisor.wait_for_event("ran", times=40)
    wait_until("40 completed jobs", lambda: completed(supervisor) == 40)
    wait_until("the slots of both", lambda: served(supervisor)["aioq_worker_slots"] == {(): 6})
    pid = re.search(r"pid (\d+)", supervisor.wait_for(r"worker process 1 started").text)
    assert pid is not None
    os.kill(int(pid[1]), signal.SIGKILL)
    supervisor.wait_for("worker process 1 started", times=2)
    supervisor.wait_for(r"INFO aioq.worker: worker .* started", times=3)
    enqueue(5)
    supervisor.wait_for_event("ran", times=45)
    wait_until("45 completed jobs", lambda: completed(supervisor) == 45)
    wait_until("the slots of both", lambda: served(supervisor)["aioq_worker_slots"] == {(): 6})
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0
