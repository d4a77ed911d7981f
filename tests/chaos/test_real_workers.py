"""Real workers in simulated time: their clocks are wrong and change, they are suspended and crash, the broker is away."""

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
from tests.chaos.simulation.real_workers import Workers
from tests.chaos.tick_figures import expected_ticks

HOURS = float(os.environ.get("AIOQ_WORKERS_HOURS", "0.25"))
"""Hours that are simulated, per seed; a tick comes every second."""


@pytest.fixture
def anyio_backend() -> str:
    """Use asyncio, on which the virtual clock is fastest; other tests run each duty on trio."""
    return "asyncio"


def entries(app: Aarq, note: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Define one entry that fires once for the fleet, as a cron and as a schedule."""
    every = Every(timedelta(seconds=1))
    app.cron(every, name="inline", unique=True, misfire="all", catchup=600)(note)
    app.schedule(app.task(name="note")(note), every, name="job", misfire="all", catchup=600)


@pytest.mark.parametrize("seed", range(2))
async def test_real_workers_grant_and_fire_each_tick_once(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Ticks of an outage of the broker or of all workers are granted too."""
    caplog.set_level(logging.CRITICAL)
    fleet = Workers(entries, seed=seed, size=3, lost=0.01)
    start = fleet.true.time()
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            fleet.start(tasks, number)
        happened = await fleet.disturb(tasks, HOURS * 3600)
        await fleet.true.advance(60)
        end = fleet.true.time() - 1
        tasks.cancel_scope.cancel()
    ticks = expected_ticks(start, end, 1)
    _print_figures(fleet, seed, ticks, happened)
    assert max(fleet.grants.won.values()) == 1
    assert max(fleet.fired.values()) == 1
    for entry in ("inline", "job"):
        assert [tick - start for tick in ticks if (entry, tick) not in fleet.grants.won] == []
    assert [tick - start for tick in ticks if ("job", tick) not in fleet.fired] == []


def _print_figures(fleet: Workers, seed: int, ticks: list[float], happened: Counter[str]) -> None:
    granted, fired = (Counter(name for name, _ in counted) for counted in (fleet.grants.won, fleet.fired))
    print(f"seed {seed}: {len(ticks)} ticks, granted {dict(granted)}, fired {dict(fired)}; {dict(happened)}")


OUTAGE = 20
"""Seconds that the broker is away: shorter than the grace of an entry."""


@pytest.mark.parametrize(
    ("misfire", "fired", "reasons"),
    # With `once`, the newest may be one that came after the outage.
    [("all", {OUTAGE}, set[str]()), ("once", {1, 2}, {"coalesced"})],
)
async def test_ticks_of_a_broker_outage_follow_misfire_policy(
    misfire: Misfire, fired: set[int], reasons: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The workers are up during the outage; later claims must not overtake the claim of the first tick."""
    caplog.set_level(logging.CRITICAL)

    def define(app: Aarq, note: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        app.cron(Every(timedelta(seconds=1)), name="tick", unique=True, misfire=misfire)(note)

    fleet = Workers(define, seed=1, size=3, lost=0.0)
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            fleet.start(tasks, number)
        await fleet.true.advance(10.5)
        start, fleet.network.down = fleet.true.time(), True
        await fleet.true.advance(OUTAGE)
        fleet.network.down = False
        await fleet.true.advance(20)
        tasks.cancel_scope.cancel()
    ticks = expected_ticks(start, start + OUTAGE, 1)
    records = await fleet.broker.tick_history(CronKey("default", "tick"))
    assert sum(fleet.fired["tick", tick] for tick in ticks) in fired
    assert {record.reason for record in records if record.reason} == reasons
