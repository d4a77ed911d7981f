"""What it costs to be seen: a worker without counts and log lines, and one with both and ten open pages of the dashboard.

`python -m tests.bench.observed`. Both drain a queue on a server, in turn, and then run jobs one at a time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

from aioq import Aarq, Worker
from aioq.backends import RedisBroker
from aioq.cli.logs import configure_logging
from aioq.worker.job_log import LogJobs
from tests.bench.dashboard import OPEN, served, wait_for
from tests.bench.server import new_server
from tests.chaos.report import table

__all__ = ["Cost", "measure"]

ROOT: Final = Path(__file__).parents[2]
ROUNDS: Final = 8
JOBS: Final = 40_000
"""Jobs of a drain."""
SINGLE: Final = 1_000
"""Jobs that are run one at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a worker needed."""

    jobs_a_second: float
    cpu_us: float
    """Processor time of the worker for each job of the drain."""
    latency_ms: float
    """From the enqueue to the first line of the task, the median."""


class UncountedBroker(RedisBroker):
    """A broker that counts no jobs, as one without `aioq.protocols.Statistics`."""

    add_counts = read_counts = None  # type: ignore[assignment]


async def work(url: str, *, seen: bool) -> Cost:
    """Drain and run single jobs in this process; whether it is seen decides what the worker counts and logs."""
    configure_logging("info")
    log_jobs: LogJobs = "auto" if seen else "none"
    app = Aarq((RedisBroker if seen else UncountedBroker)(url), name="shop")
    late: list[float] = []
    began = anyio.Event()

    @app.task(name="shop.nothing", save_result=False)
    async def nothing(ctx: dict[str, Any]) -> None: ...

    @app.task(name="shop.timed", save_result=False)
    async def timed(ctx: dict[str, Any], at: float) -> None:
        late.append(time.perf_counter() - at)
        began.set()

    async with app:
        for _ in range(JOBS // 1_000):
            await app.enqueue_many([nothing.call() for _ in range(1_000)])
        before, cpu = time.perf_counter(), time.process_time()
        await Worker(app, concurrency=100, handle_signals=False, burst=True, log_jobs=log_jobs).run()
        passed, used = time.perf_counter() - before, time.process_time() - cpu
        async with anyio.create_task_group() as tg:
            tg.start_soon(Worker(app, handle_signals=False, log_jobs=log_jobs).run)
            for _ in range(SINGLE):
                began = anyio.Event()
                await timed.enqueue(time.perf_counter())
                await began.wait()
            tg.cancel_scope.cancel()
    return Cost(jobs_a_second=JOBS / passed, cpu_us=used / JOBS * 1e6, latency_ms=statistics.median(late) * 1000)


def measure(rounds: int) -> Mapping[str, list[Cost]]:
    """Return the costs of workers that nothing sees, and of those that are seen, measured in turn."""
    found: dict[str, list[Cost]] = {"unseen": [], "seen": []}
    for _ in range(rounds):
        found["unseen"].append(anyio.run(_round, False))
        found["seen"].append(anyio.run(_round, True))
    return found


async def _round(seen: bool) -> Cost:
    server = new_server()
    server.start()
    try:
        if not seen:
            return await _worker(server.url, seen=False)
        with served(server.url) as address:
            return await _beside_pages(server.url, address)
    finally:
        server.close()


async def _beside_pages(url: str, address: str) -> Cost:
    found: list[Cost] = []
    async with httpx.AsyncClient(base_url=address, timeout=60) as client, anyio.create_task_group() as tg:
        await wait_for(client)
        for path in OPEN:
            tg.start_soon(_follow, client, path)
        found.append(await _worker(url, seen=True))
        tg.cancel_scope.cancel()
    return found[0]


async def _follow(client: httpx.AsyncClient, path: str) -> None:
    """Keep a page open, as a browser does."""
    async with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer:
        async for _ in answer.aiter_lines():
            pass


async def _worker(url: str, *, seen: bool) -> Cost:
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "tests.bench.observed", url, "seen" if seen else "unseen"]
        done = await anyio.run_process(
            command, cwd=ROOT, env={**os.environ}, stdout=subprocess.PIPE, stderr=log.fileno()
        )
    return Cost(**json.loads(done.stdout))


def _rows(found: Mapping[str, list[Cost]]) -> list[dict[str, object]]:
    """Return a row for each figure: the medians, and by how much the second is above the first."""
    rows: list[dict[str, object]] = []
    for name in ("jobs_a_second", "cpu_us", "latency_ms"):
        unseen, seen = (statistics.median(getattr(one, name) for one in found[kind]) for kind in ("unseen", "seen"))
        rows.append(
            {"what": name, "unseen": f"{unseen:,.2f}", "seen": f"{seen:,.2f}", "%": f"{(seen / unseen - 1) * 100:+.1f}"}
        )
    return rows


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(asdict(anyio.run(lambda: work(sys.argv[1], seen=sys.argv[2] == "seen")))))
    else:
        print(table(_rows(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))))
