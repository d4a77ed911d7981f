"""A day of a fleet in simulated time: ticks are granted once, and none is missed while a worker is up."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from aioq.backends.memory import MemoryBroker
from aioq.cron import CronEntry, CronOptions
from aioq_cron import Every
from tests.chaos.figures import grid
from tests.chaos.simulation.fleet import Chaos, Simulation
from tests.chaos.simulation.host import TrueClock

HOURS = float(os.environ.get("AIOQ_FLEET_HOURS", "6"))
"""Hours that are simulated, per seed; a tick comes every second."""
START = 1_750_000_000.0
PATIENCE = 40.0
"""Seconds that a worker may need to bid for a tick: the broker is away for 20, and it asks again within 5."""


def fire() -> None:
    """Stand for what the entry calls."""


@pytest.fixture
def anyio_backend() -> str:
    """Nothing waits in a simulation, so one event loop is as good as another."""
    return "asyncio"


@pytest.mark.parametrize("seed", range(4))
async def test_no_tick_is_granted_twice_and_none_is_missed(seed: int) -> None:
    """Whatever happens to clocks, workers, replies and the broker."""
    entry = CronEntry(
        name="tick",
        function=fire,
        schedule=Every(timedelta(seconds=1)),
        unique=True,
        expression="every 1s",
        options=CronOptions(misfire="all"),
    )
    true = TrueClock(START)
    simulation = Simulation(entry, MemoryBroker(clock=true), true, seed=seed, workers=4, chaos=Chaos())
    tally = await simulation.run(HOURS * 3600)
    ticks = grid(START, true.now, 1)
    print(
        f"seed {seed}: {len(ticks)} ticks, {len(tally.won)} granted, {tally.double} twice, {len(ticks) - len(tally.won)} "
        f"not, {len(tally.won) - len(tally.heard)} of whose winner did not learn, {dict(tally.events)}"
    )
    assert tally.double == 0
    assert tally.missed(ticks, PATIENCE) == []
    assert set(tally.won) <= set(ticks)
    assert {"crash", "suspend", "step", "outage", "reply lost"} <= set(tally.events)
