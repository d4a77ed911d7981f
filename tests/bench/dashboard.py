"""The dashboard on a full store: the processor time of each page, and of ten open pages while jobs flow."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from aioq import Aarq, Call, CronWarning, Worker
from aioq.backends import RedisBroker
from aioq.cron.definition import define, version_of
from aioq_web import User, dashboard
from tests.bench.server import new_server

__all__ = ["OPEN", "OpenPages", "PageCost", "measure", "served", "site", "wait_for"]

QUEUES: Final = ("default", "mails", "imports", "reports", "exports")
CRONS: Final = 1_000
BATCH: Final = 10_000
ENDED: Final = 20_000
"""Jobs that a worker runs before pages are opened, at most; a twentieth of them fails."""

PAGES: Final = (
    "/", "/jobs", "/jobs?state=pending", "/jobs?state=completed&queue=default", "/jobs?state=retrying", "/jobs/mails/job-0", "/failures",
    "/queues", "/workers", "/crons", "/crons?state=none+yet&page=10", "/crons/default/cron-0500",
)  # fmt: skip
OPEN: Final = (
    "/",
    "/",
    "/jobs",
    "/jobs",
    "/jobs?state=failed",
    "/failures",
    "/queues",
    "/workers",
    "/crons",
    "/crons/default/cron-0500",
)
"""The pages that are open at the same time."""

WARM_UP: Final = 5.0
"""Seconds after which open pages have their pace."""

A_SECOND: Final = 200
"""Jobs that are enqueued and run in each second while pages are open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCost:
    """What a page costs the process that serves it: the least of several rounds."""

    page: str
    cpu_ms: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPages:
    """What open pages cost the process that serves them."""

    pages: int
    seconds: float
    updates: int
    share: float
    """Processor time in each second."""


def shop(url: str) -> Aarq:
    """Return the app that is shown, on the server at `url`."""
    app = Aarq(RedisBroker(url), name="shop", tz="Europe/Berlin")
    for queue in QUEUES:
        app.task(name=f"shop.{queue}", queue=queue, result_ttl=3600)(_work)
    for number in range(CRONS):
        app.schedule(
            app.tasks["shop.default"], f"{number % 60} {number % 24} * * *", name=f"cron-{number:04}", args=(0,)
        )
    return app


async def _work(ctx: dict[str, Any], number: int) -> int:
    if number % 20 == 19:
        raise ValueError(f"no stock for {number % 7}")
    return number


def site(url: str, port: int) -> None:
    """Serve the dashboard, and the processor time of this process at `/cpu`, until killed."""
    warnings.simplefilter("ignore", CronWarning)

    async def cpu(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(time.process_time()))

    routes = [Route("/cpu", cpu), Mount("/", dashboard(shop(url), access=lambda request: User("ada")))]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning")


def measure(jobs: int, seconds: float, rounds: int) -> tuple[list[PageCost], OpenPages]:
    """Measure pages on a store with so many jobs in so many rounds, and open pages for so many seconds."""
    # A twentieth of the jobs fails, and crons of some minutes lie in the gap of a clock change.
    logging.getLogger("aioq").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore", CronWarning)
    server = new_server()
    server.start()
    try:
        return anyio.run(_measure, server.url, jobs, seconds, rounds)
    finally:
        server.close()


async def _measure(url: str, jobs: int, seconds: float, rounds: int) -> tuple[list[PageCost], OpenPages]:
    app = shop(url)
    async with app:
        await _fill(app, jobs)
        with served(url) as address:
            async with httpx.AsyncClient(base_url=address, timeout=60) as client:
                await wait_for(client)
                costs = [await _page(client, path, rounds) for path in PAGES]
                return costs, await _open_pages(app, client, seconds)


async def _fill(app: Aarq, jobs: int) -> None:
    """Store jobs in several states, and register the crons."""
    ended = min(ENDED, jobs // 10)
    await app.enqueue_many([_call(app, "default", number) for number in range(ended)])
    await Worker(app, queues=["default"], concurrency=100, handle_signals=False, burst=True).run()
    await app.tasks["shop.mails"].options(job_id="job-0").enqueue(0)
    for start in range(ended, jobs, BATCH):
        calls = [_call(app, QUEUES[1 + number % 4], number) for number in range(start, min(start + BATCH, jobs))]
        await app.enqueue_many(calls)
    broker: Any = app.broker
    definitions = [define(entry) for entry in app.crons]
    await broker.register_crons(app.name, version_of(definitions), definitions, ttl=3600)


def _call(app: Aarq, queue: str, number: int) -> Call[Any]:
    task: Any = app.tasks[f"shop.{queue}"]
    call: Call[Any] = (task.options(defer_by=86_400) if number % 5 == 0 and queue != "default" else task).call(number)
    return call


@contextmanager
def served(url: str) -> Generator[str]:
    """Serve the dashboard in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = f"from tests.bench.dashboard import site; site({url!r}, {port})"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def wait_for(client: httpx.AsyncClient) -> None:
    """Wait until the dashboard answers.

    Raises:
        RuntimeError: It does not within 30 seconds.
    """
    for _ in range(300):
        with suppress(httpx.TransportError):
            await client.get("/cpu")
            return
        await anyio.sleep(0.1)
    raise RuntimeError("the dashboard did not start within 30 seconds")


async def _cpu(client: httpx.AsyncClient) -> float:
    return float((await client.get("/cpu")).text)


async def _page(client: httpx.AsyncClient, path: str, rounds: int) -> PageCost:
    costs: list[float] = []
    size = 0
    for _ in range(rounds):
        begin = await _cpu(client)
        answer = await client.get(path)
        answer.raise_for_status()
        size = len(answer.content)
        costs.append(await _cpu(client) - begin)
        # Beyond the age of what pages share.
        await anyio.sleep(1.1)
    return PageCost(page=path, cpu_ms=round(min(costs) * 1000, 1), bytes=size)


async def _open_pages(app: Aarq, client: httpx.AsyncClient, seconds: float) -> OpenPages:
    updates = 0
    used = passed = 0.0

    async def follow(path: str) -> None:
        nonlocal updates
        async with client.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer:
            async for line in answer.aiter_lines():
                updates += line.startswith("event: page")

    async def load() -> None:
        while True:
            await app.enqueue_many([_call(app, "default", number) for number in range(A_SECOND)])
            await anyio.sleep(1)

    async with anyio.create_task_group() as tg:
        worker = Worker(app, queues=["default"], concurrency=100, handle_signals=False)
        tg.start_soon(worker.run)
        tg.start_soon(load)
        for path in OPEN:
            tg.start_soon(follow, path)
        await anyio.sleep(WARM_UP)
        begin, before, updates = await _cpu(client), time.monotonic(), 0
        await anyio.sleep(seconds)
        used, passed = await _cpu(client) - begin, time.monotonic() - before
        tg.cancel_scope.cancel()
    if not passed:
        raise RuntimeError("the worker beside the open pages has stopped")
    return OpenPages(pages=len(OPEN), seconds=round(passed, 1), updates=updates, share=round(used / passed, 4))
