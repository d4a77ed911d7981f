"""Ten thousand entries that are due at one instant: how long it takes until the last has started."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from aioq import Aarq, Worker
from aioq.backends import RedisBroker
from aioq.backends.memory import MemoryBroker
from tests.bench.server import new_server

__all__ = ["Burst", "measure"]

PATIENCE = 120.0
"""Seconds within which all must have started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """When entries started, in seconds after their common tick."""

    case: str
    entries: int
    started: int
    first: float
    last: float


@dataclass(frozen=True, slots=True, eq=False)
class Once:
    """One tick, and none after it. No two are equal, so that nothing can be shared between entries."""

    at: datetime

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the tick, if it is still to come."""
        return self.at if instant < self.at else None

    def __str__(self) -> str:
        return f"once at {self.at.isoformat()}"


class Starts:
    """Notes when entries start, and when all have."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.times: list[float] = []
        self.done = anyio.Event()

    async def note(self, ctx: dict[str, Any]) -> None:
        """Note that one has started."""
        self.times.append(time.time())
        self._left -= 1
        if not self._left:
            self.done.set()


def measure(entries: int, *, ahead: float) -> list[Burst]:
    """Return how a burst goes when all entries share a schedule, when none do, and for the fleet's.

    The tick is some seconds ahead when the entries are defined, so that there is time to register them.
    """
    server = new_server()
    server.start()
    try:
        return [
            anyio.run(_alone, "each worker, one schedule", entries, ahead, True),
            anyio.run(_alone, "each worker, a schedule each", entries, ahead, False),
            anyio.run(_in_fleet, "unique=True, a schedule each", entries, ahead, server.url, False),
            anyio.run(_in_fleet, "app.schedule, a schedule each", entries, ahead, server.url, True),
        ]
    finally:
        server.close()


async def _alone(case: str, entries: int, ahead: float, shared: bool) -> Burst:
    app, starts, at = Aarq(MemoryBroker(), name="burst"), Starts(entries), _soon(ahead)
    one = Once(at)
    for number in range(entries):
        app.cron(one if shared else Once(at), name=f"n{number}")(starts.note)
    return await _run(case, app, starts, at)


async def _in_fleet(case: str, entries: int, ahead: float, url: str, jobs: bool) -> Burst:
    broker = RedisBroker(url, namespace="jobs" if jobs else "inline")
    app, starts, at = Aarq(broker, name="burst"), Starts(entries), _soon(ahead)
    task = app.task(name="note")(starts.note)
    for number in range(entries):
        if jobs:
            app.schedule(task, Once(at), name=f"n{number}")
        else:
            app.cron(Once(at), name=f"n{number}", unique=True)(starts.note)
    return await _run(case, app, starts, at)


def _soon(ahead: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=ahead)


async def _run(case: str, app: Aarq, starts: Starts, at: datetime) -> Burst:
    worker = Worker(app, concurrency=1_000, handle_signals=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        with anyio.move_on_after(at.timestamp() - time.time() + PATIENCE):
            await starts.done.wait()
        worker.stop()
    return _burst(case, starts.times, len(app.crons), at.timestamp())


def _burst(case: str, times: Sequence[float], entries: int, at: float) -> Burst:
    late = sorted(moment - at for moment in times) or [PATIENCE]
    return Burst(case=case, entries=entries, started=len(times), first=late[0], last=late[-1])
