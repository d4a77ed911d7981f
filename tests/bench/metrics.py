"""What the metrics of a completed job cost its worker: `python -m tests.bench.metrics`."""

from __future__ import annotations

import os
import subprocess
import sys
import timeit
from collections.abc import Mapping
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry

import aioq_prometheus
from aioq import Aarq
from aioq.events import JobEvent, run_fact
from aioq.model.job import Lease
from aioq_prometheus.sharing import FOLDER
from tests.chaos.report import table

__all__ = ["cost", "costs"]

LEASE = Lease(
    job_id="a" * 22, queue="default", epoch=1, worker_id="w", task="app.task", payload=b"", attempt=1, crashes=0,
    priority=5, enqueued_at=0.0,
)  # fmt: skip

ROUNDS = 5


def cost(number: int) -> float:
    """Return the nanoseconds of an event of a job with its metrics, the share of a flush included."""
    app = Aarq("memory://", name="shop")

    @app.task(name="app.task")
    async def task(ctx: object) -> None: ...

    aioq_prometheus.instrument(app, registry=CollectorRegistry())

    def complete() -> None:
        app.events.fire(run_fact(JobEvent.COMPLETED, LEASE, at=0.0, duration=0.1))

    return min(timeit.repeat(complete, repeat=ROUNDS, number=number)) / number * 1e9


def costs(number: int) -> Mapping[str, float]:
    """Return the nanoseconds in a process alone, and in one that shares its metrics in a folder."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.metrics", str(number)]
        done = subprocess.run(command, env={**os.environ, FOLDER: folder}, capture_output=True, text=True, check=True)
    return {"a process alone": cost(number), "a process that shares": float(done.stdout)}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(cost(int(sys.argv[1])))
    else:
        print(table([{"metrics of": name, "ns": f"{nanoseconds:.0f}"} for name, nanoseconds in costs(200_000).items()]))
