"""How fast one and several worker processes drain a queue: `aioq worker --processes N`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import anyio

from aioq.backends import RedisBroker
from tests.bench import spinning
from tests.servers import RedisServer, found

__all__ = ["Drained", "measure"]

ROOT = Path(__file__).parents[2]
JOBS_KEY = "{aioq:default}:jobs"
WORKERS_KEY = "{aioq}:workers"
BATCH = 1_000
PATIENCE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """A queue that was drained."""

    processes: int
    work_ms: float
    """Processor time that each job uses for itself."""
    jobs: int
    seconds: float
    """From when all workers are up and at work until the last job has ended."""
    jobs_a_second: float


def measure(processes: int, work: float, jobs: int) -> Drained:
    """Return how fast so many processes drain so many jobs, each of which uses a core for `work` seconds."""
    server = RedisServer(next(iter(found().values())), ("--appendonly", "yes"))
    server.start()
    try:
        anyio.run(_enqueue, server.url, work, jobs)
        seconds, counted = _drain(server, processes)
        return Drained(
            processes=processes, work_ms=work * 1000, jobs=jobs, seconds=seconds, jobs_a_second=counted / seconds
        )
    finally:
        server.close()


async def _enqueue(url: str, work: float, jobs: int) -> None:
    broker = RedisBroker(url)
    for first in range(0, jobs, BATCH):
        await broker.enqueue([spinning.spin.call(work).job for _ in range(min(BATCH, jobs - first))])
    await broker.close()


def _drain(server: RedisServer, processes: int) -> tuple[float, int]:
    """Return the seconds from when all workers are up and at work until no job is left, and the jobs done in them."""
    command = [sys.executable, "-m", "aioq", "worker", "tests.bench.spinning:app", "--log-level", "ERROR"]
    process = subprocess.Popen(
        [*command, "--processes", str(processes)],
        cwd=ROOT, env={**os.environ, "BENCH_URL": server.url}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with server.client() as client:
            total = left = client.hlen(JOBS_KEY)
            while left == total or client.zcard(WORKERS_KEY) < processes:
                time.sleep(0.005)
                left = client.hlen(JOBS_KEY)
            if not left:
                raise RuntimeError(f"{total} jobs were done before {processes} processes were up; enqueue more")
            begun, begin, deadline = left, time.monotonic(), time.monotonic() + PATIENCE
            while left:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{left} of {total} jobs were left after {PATIENCE:g} s")
                time.sleep(0.02)
                left = client.hlen(JOBS_KEY)
            return time.monotonic() - begin, begun
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
