"""Enqueues jobs as a program does that runs no worker, and reads their state from the broker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq.model.job import JobRecord, NewJob, QueueStats
from tests.chaos.apps.tasks import define
from tests.chaos.job_log import JobLog

__all__ = ["NAMESPACE", "Producer"]

T = TypeVar("T")

NAMESPACE = "chaos"
"""Namespace of the jobs; each fault has a server of its own."""
BATCH = 1000


class Producer:
    """Calls the broker, with a new connection for each call.

    Args:
        url: URL of the server.
        options: Options of the broker.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._options = options
        self._made = 0

    def enqueue(self, task: str, number: int, *args: object, **options: Any) -> list[str]:
        """Enqueue `number` jobs of a task, and return their ids."""
        ids = [f"{task}-{self._made + n}" for n in range(number)]
        self._made += number

        async def store(app: Aarq) -> None:
            chosen = app.tasks[task]
            for some in _batches(ids):
                await app.enqueue_many([chosen.options(job_id=one, **options).call(*args) for one in some])

        self.with_app(store)
        return ids

    def enqueue_raw(self, jobs: Sequence[NewJob]) -> None:
        """Enqueue jobs directly at the broker, with payloads that no codec made."""

        async def store(app: Aarq) -> None:
            await app.broker.enqueue(jobs)

        self.with_app(store)

    def stats(self) -> QueueStats:
        """Return the number of jobs in each state."""

        async def ask(app: Aarq) -> QueueStats:
            assert isinstance(app.broker, RedisBroker)
            found = [stats for stats in await app.broker.queue_stats() if stats.queue == "default"]
            return (
                found[0] if found else QueueStats(queue="default", pending=0, scheduled=0, running=0, dead=0, expired=0)
            )

        return self.with_app(ask)

    def record(self, job_id: str) -> JobRecord | None:
        """Return the broker's record of a job."""

        async def ask(app: Aarq) -> JobRecord | None:
            assert isinstance(app.broker, RedisBroker)
            return await app.broker.get_job(job_id, queue="default")

        return self.with_app(ask)

    def with_app(self, do: Callable[[Aarq], Awaitable[T]]) -> T:
        """Call a function with a connected app."""

        async def go() -> T:
            app = Aarq(RedisBroker(self._url, namespace=NAMESPACE, **self._options), name="chaos")
            define(app, JobLog(Path("/dev/null")))  # no task runs in this process
            async with app:
                return await do(app)

        return anyio.run(go)


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
