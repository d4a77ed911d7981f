"""Enqueues jobs as a program does that is no worker, and asks what the broker knows of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq.model.job import JobRecord, NewJob, QueueStats
from tests.chaos.apps.tasks import define
from tests.chaos.journal import Journal

__all__ = ["NAMESPACE", "Producer"]

T = TypeVar("T")

NAMESPACE = "chaos"
"""Of the jobs of a fault, which has a server to itself."""
BATCH = 1000


class Producer:
    """Speaks to the broker in short visits, each on a connection of its own.

    Args:
        url: Of the server.
        options: Of the broker.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url, self._options = url, options
        self._made = 0

    def enqueue(self, task: str, number: int, *args: object, **options: Any) -> list[str]:
        """Enqueue so many jobs of a task, and return their ids."""
        ids = [f"{task}-{self._made + n}" for n in range(number)]
        self._made += number

        async def store(app: Aarq) -> None:
            chosen = app.tasks[task]
            for some in _batches(ids):
                await app.enqueue_many([chosen.options(job_id=one, **options).call(*args) for one in some])

        self.visit(store)
        return ids

    def enqueue_raw(self, jobs: Sequence[NewJob]) -> None:
        """Enqueue jobs past the app, with payloads that no codec has made."""

        async def store(app: Aarq) -> None:
            await app.broker.enqueue(jobs)

        self.visit(store)

    def stats(self) -> QueueStats:
        """Return how many jobs stand where."""

        async def ask(app: Aarq) -> QueueStats:
            assert isinstance(app.broker, RedisBroker)
            found = [stats for stats in await app.broker.queue_stats() if stats.queue == "default"]
            return (
                found[0] if found else QueueStats(queue="default", pending=0, scheduled=0, running=0, dead=0, expired=0)
            )

        return self.visit(ask)

    def record(self, job_id: str) -> JobRecord | None:
        """Return what the broker knows of a job."""

        async def ask(app: Aarq) -> JobRecord | None:
            assert isinstance(app.broker, RedisBroker)
            return await app.broker.get_job(job_id, queue="default")

        return self.visit(ask)

    def visit(self, do: Callable[[Aarq], Awaitable[T]]) -> T:
        """Do something with the app, connected."""

        async def go() -> T:
            app = Aarq(RedisBroker(self._url, namespace=NAMESPACE, **self._options), name="chaos")
            define(app, Journal(Path("/dev/null")))  # here none of them is run
            async with app:
                return await do(app)

        return anyio.run(go)


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
