"""How fast one and several worker processes drain a queue: `aioq worker --processes N`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from aioq.backends import RedisBroker
from tests.bench import spinning
from tests.bench.server import new_server

__all__ = ["Drained", "measure"]

ROOT = Path(__file__).parents[2]
JOBS_KEY = "{aioq:default}:jobs"
BATCH = 1_000
STARTING = 30.0
"""Seconds for all processes to be up."""
PATIENCE = 120.0
"""Seconds for them to run all jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """A queue that was drained."""

    processes: int
    work_ms: float
    """Processor time that each job uses for itself."""
    jobs: int
    seconds: float
    """From when all workers are ready until the last job has ended."""
    jobs_a_second: float


def measure(processes: int, work: float, jobs: int) -> Drained:
    """Return how fast several processes drain jobs that use a core for `work` seconds each.

    Raises:
        RuntimeError: They did not start, or not end, in time.
    """
    server = new_server()
    server.start()
    try:
        anyio.run(_enqueue, server.url, work, jobs)
        with _workers(server.url, processes) as let_begin, server.client() as client:
            begin = let_begin()
            _until(lambda: not client.hlen(JOBS_KEY), PATIENCE, f"run {jobs} jobs")
            seconds = time.monotonic() - begin
        return Drained(
            processes=processes, work_ms=work * 1000, jobs=jobs, seconds=seconds, jobs_a_second=jobs / seconds
        )
    finally:
        server.close()


async def _enqueue(url: str, work: float, jobs: int) -> None:
    broker = RedisBroker(url)
    for first in range(0, jobs, BATCH):
        await broker.enqueue([spinning.spin.call(work).job for _ in range(min(BATCH, jobs - first))])
    await broker.close()


@contextmanager
def _workers(url: str, processes: int) -> Generator[Callable[[], float]]:
    """Start processes that wait; yield a function that lets them begin and returns the time."""
    with tempfile.TemporaryDirectory(prefix="aioq-bench-") as name:
        gate = Path(name)

        def let_begin() -> float:
            _until(lambda: len(list(gate.glob("ready-*"))) == processes, STARTING, f"start {processes} processes")
            (gate / "open").touch()
            return time.monotonic()

        supervisor = subprocess.Popen(
            [sys.executable, "-m", "aioq", "worker", "tests.bench.spinning:app", "--log-level", "ERROR",
             "--loop", "uvloop", "--processes", str(processes)],
            cwd=ROOT, env={**os.environ, "BENCH_URL": url, "BENCH_GATE": name}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield let_begin
        finally:
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait(60)


def _until(done: Callable[[], bool], patience: float, what: str) -> None:
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the workers did not {what} within {patience:g} s")
        time.sleep(0.01)
