"""A month of a hundred crons on the virtual clock: how long a user's own test of it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import anyio

from aioq import Aarq, Worker
from aioq.backends.memory import MemoryBroker
from aioq.testing import VirtualClock

__all__ = ["Month", "measure"]

DAYS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """How it went."""

    case: str
    entries: int
    fires: int
    seconds: float


def measure(case: str, expression: str, entries: int) -> Month:
    """Return how long a month takes; `expression` has a `{}` for the minute, which is the entry's own."""
    return anyio.run(_month, case, [expression.format(number % 60) for number in range(entries)])


async def _month(case: str, expressions: list[str]) -> Month:
    clock, fires = VirtualClock(), 0
    app = Aarq(MemoryBroker(clock=clock), name="month")

    async def fire(ctx: dict[str, Any]) -> None:
        nonlocal fires
        fires += 1

    for number, expression in enumerate(expressions):
        app.cron(expression, name=f"n{number}")(fire)
    worker = Worker(app, clock=clock, handle_signals=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await clock.settle()
        started = time.perf_counter()
        await clock.advance(DAYS * 86_400)
        passed = time.perf_counter() - started
        worker.stop()
    return Month(case=case, entries=len(expressions), fires=fires, seconds=passed)
