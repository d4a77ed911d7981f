"""A hundred crons on the virtual clock: how long a user's own test of a month takes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from aioq import Aarq, Worker
from aioq.backends.memory import MemoryBroker
from aioq.cron import Tick
from aioq.testing import VirtualClock
from aioq_cron import CronScheduler
from tests.cron import month as of_an_app

__all__ = ["Month", "app", "scheduler", "worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """How it went."""

    case: str
    entries: int
    days: float
    fires: int
    seconds: float


def app() -> Month:
    """Return how long the scheduler's loop takes with a hundred crons as an app might have them."""
    schedules = [CronScheduler().parse(text, tz=of_an_app.ZONE) for text in of_an_app.EXPRESSIONS]
    started = time.perf_counter()
    fired, _ = anyio.run(of_an_app.live, schedules)
    passed = time.perf_counter() - started
    days = of_an_app.MONTH.days
    return Month(case="scheduler, crons of an app", entries=len(schedules), days=days, fires=len(fired), seconds=passed)


def scheduler(expression: str, entries: int, days: int) -> Month:
    """Return how long the scheduler's loop alone takes; `expression` has a `{}` for the minute, the entry's own."""
    return anyio.run(_scheduler, expression, entries, days)


def worker(expression: str, entries: int, days: float) -> Month:
    """Return how long it takes with a whole worker, which looks after jobs, leases and its ledger every few seconds."""
    return anyio.run(_worker, expression, entries, days)


async def _scheduler(expression: str, entries: int, days: int) -> Month:
    clock, fires = VirtualClock(), 0

    def fire(tick: Tick) -> None:
        nonlocal fires
        fires += 1

    app = _app(clock, expression, entries, _nothing)
    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(app.scheduler.run, list(app.crons), fire, clock=clock))
        await clock.advance(days * 86_400)
        tasks.cancel_scope.cancel()
    passed = time.perf_counter() - started
    return Month(case=f"scheduler, {expression}", entries=entries, days=days, fires=fires, seconds=passed)


async def _worker(expression: str, entries: int, days: float) -> Month:
    clock, fires = VirtualClock(), 0

    async def fire(ctx: dict[str, Any]) -> None:
        nonlocal fires
        fires += 1

    one = Worker(_app(clock, expression, entries, fire), clock=clock, handle_signals=False)
    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await clock.advance(days * 86_400)
        tasks.cancel_scope.cancel()
    passed = time.perf_counter() - started
    return Month(case=f"worker, {expression}", entries=entries, days=days, fires=fires, seconds=passed)


def _app(clock: VirtualClock, expression: str, entries: int, fire: Callable[[dict[str, Any]], Awaitable[None]]) -> Aarq:
    app = Aarq(MemoryBroker(clock=clock), name="month")
    for number in range(entries):
        app.cron(expression.format(number % 60), name=f"n{number}")(fire)
    return app


async def _nothing(ctx: dict[str, Any]) -> None:
    """Do nothing: the function is never called."""
