"""Stored schedules that are all due at one moment: how long it takes until all their jobs are enqueued, and are run."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio

from tests.bench.reports import TASK, app_at
from tests.bench.server import new_server
from tests.bench.throughput.store import Store
from tests.servers import RedisServer

__all__ = ["StoredBurst", "measure"]

ROOT = Path(__file__).parents[2]
JOBS_KEY = "{aioq:default}:jobs"
MOMENTS_KEY = "{aioq:default}:schedule_moments:report"
"""When workers have to look at each schedule: the reserved ones within seconds, those that have fired a day later."""
TOGETHER = 200
"""Schedules that are stored at the same time."""
STORING = 0.001
"""Seconds for each schedule that are left to store it, before the common moment."""
STARTING = 6.0
"""Seconds for the workers to be up."""
PATIENCE = 180.0
"""Seconds after the common moment for all jobs to be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBurst:
    """How schedules went that were due together, by the time from their common moment."""

    schedules: int
    workers: int
    enqueued_after_s: float
    """Until the last job was enqueued; other jobs ran meanwhile."""
    run_after_s: float
    """Until the last job had run."""
    server_us: float
    """Processor time of the server for each schedule and its job."""
    workers_us: float
    """The same of all workers together."""


def measure(schedules: int, workers: int) -> StoredBurst:
    """Return how it goes if so many schedules are due at one moment.

    Raises:
        RuntimeError: They could not be stored, or were not fired, in time.
    """
    server = new_server()
    server.start()
    try:
        at = math.ceil(time.time() + STARTING + schedules * STORING)
        anyio.run(_store, server.url, schedules, at)
        with _workers(server.url, workers) as processes:
            return _watch(server, processes, schedules, at)
    finally:
        server.close()


async def _store(url: str, schedules: int, at: int) -> None:
    """Store schedules that are due every day at the time of `at`."""
    moment = datetime.fromtimestamp(at, UTC)
    async with app_at(url) as app:
        task = app.tasks[TASK]
        expression = f"{moment.second} {moment.minute} {moment.hour} * * *"
        for first in range(0, schedules, TOGETHER):
            async with anyio.create_task_group() as tasks:
                for number in range(first, min(first + TOGETHER, schedules)):
                    put = partial(app.schedules.put, f"customer-{number}", task, expression, seconds="first")
                    tasks.start_soon(partial(put, args=(number,)))
    if time.time() > at - STARTING / 2:
        raise RuntimeError(f"{schedules} schedules could not be stored in time")


@contextmanager
def _workers(url: str, count: int) -> Generator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "aioq", "worker", "tests.bench.reports:app", "--log-level", "ERROR"]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            environment = {**os.environ, "BENCH_URL": url}
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL))
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(60)


def _watch(server: RedisServer, processes: list[subprocess.Popen[bytes]], schedules: int, at: int) -> StoredBurst:
    store = Store(server.url)
    with server.client() as client:
        time.sleep(max(0.0, at - 0.5 - time.time()))
        before = store.processor(), _cpu(processes)
        enqueued = _until(lambda: not client.zcount(MOMENTS_KEY, "-inf", (at + 3600) * 1000), at, "fire")
        run = _until(lambda: not client.hlen(JOBS_KEY), at, "run")
        after = store.processor(), _cpu(processes)
    return StoredBurst(
        schedules=schedules,
        workers=len(processes),
        enqueued_after_s=enqueued,
        run_after_s=run,
        server_us=(after[0] - before[0]) / schedules * 1e6,
        workers_us=(after[1] - before[1]) / schedules * 1e6,
    )


def _until(done: Callable[[], bool], at: int, what: str) -> float:
    """Wait for something; return how long after a moment it came."""
    while not done():
        if time.time() > at + PATIENCE:
            raise RuntimeError(f"the workers did not {what} all within {PATIENCE:g} s")
        time.sleep(0.02)
    return time.time() - at


def _cpu(processes: list[subprocess.Popen[bytes]]) -> float:
    """Return the processor time in seconds that processes have used. Only Linux tells it of others."""
    ticks = 0
    for process in processes:
        # The name of the program comes before, in brackets, and may contain blanks.
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
