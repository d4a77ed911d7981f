"""Real workers in simulated time: their clocks are wrong and are set, they stand still and crash, the broker is away."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from aioq import Aarq
from aioq.cron import Misfire
from aioq.model.cron import CronKey
from aioq_cron import Every
from tests.chaos.figures import grid
from tests.chaos.simulation.workers import Workers

HOURS = float(os.environ.get("AIOQ_WORKERS_HOURS", "0.25"))
"""Hours that are simulated, per seed; a tick comes every second."""


@pytest.fixture
def anyio_backend() -> str:
    """The virtual clock is fastest on asyncio; the duties are tested on trio one by one."""
    return "asyncio"


def entries(app: Aarq, note: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Define one entry that fires once for the fleet, as a cron and as a schedule."""
    every = Every(timedelta(seconds=1))
    app.cron(every, name="inline", unique=True, misfire="all", catchup=600)(note)
    app.schedule(app.task(name="note")(note), every, name="job", misfire="all", catchup=600)


@pytest.mark.parametrize("seed", range(2))
async def test_no_tick_fires_twice_and_each_is_granted_once(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Also those that came while the broker was away, or while no worker was up."""
    caplog.set_level(logging.CRITICAL)
    fleet = Workers(entries, seed=seed, size=3, lost=0.01)
    start = fleet.true.time()
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            fleet.start(tasks, number)
        happened = await fleet.live_through(tasks, HOURS * 3600)
        await fleet.true.advance(60)
        end = fleet.true.time() - 1
        tasks.cancel_scope.cancel()
    ticks = grid(start, end, 1)
    _tell(fleet, seed, ticks, happened)
    assert max(fleet.grants.won.values()) == 1
    assert max(fleet.fired.values()) == 1
    for entry in ("inline", "job"):
        assert [tick - start for tick in ticks if (entry, tick) not in fleet.grants.won] == []
    assert [tick - start for tick in ticks if ("job", tick) not in fleet.fired] == []


def _tell(fleet: Workers, seed: int, ticks: list[float], happened: Counter[str]) -> None:
    granted, fired = (Counter(name for name, _ in counted) for counted in (fleet.grants.won, fleet.fired))
    print(f"seed {seed}: {len(ticks)} ticks, granted {dict(granted)}, fired {dict(fired)}; {dict(happened)}")


OUTAGE = 20
"""Seconds that the broker is away: shorter than the grace of an entry."""


@pytest.mark.parametrize(
    ("misfire", "fired", "whys"),
    # With `once`, the newest may be one that came after the outage.
    [("all", {OUTAGE}, set[str]()), ("once", {1, 2}, {"coalesced"})],
)
async def test_what_comes_due_while_the_broker_is_away_is_left_to_the_policy(
    misfire: Misfire, fired: set[int], whys: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Workers were up all the time: no later bid overtakes an earlier one. The first tick was bid for at once."""
    caplog.set_level(logging.CRITICAL)

    def define(app: Aarq, note: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        app.cron(Every(timedelta(seconds=1)), name="tick", unique=True, misfire=misfire)(note)

    fleet = Workers(define, seed=1, size=3, lost=0.0)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            fleet.start(tasks, number)
        await fleet.true.advance(10.5)
        start, fleet.way.shut = fleet.true.time(), True
        await fleet.true.advance(OUTAGE)
        fleet.way.shut = False
        await fleet.true.advance(20)
        tasks.cancel_scope.cancel()
    ticks = grid(start, start + OUTAGE, 1)
    records = await fleet.broker.tick_history(CronKey("default", "tick"))
    assert sum(fleet.fired["tick", tick] for tick in ticks) in fired
    assert {record.reason for record in records if record.reason} == whys
