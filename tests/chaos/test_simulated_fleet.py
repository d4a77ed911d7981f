"""A day of a fleet in simulated time: ticks are granted once, and none is missed while a worker is up."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from aioq.backends.memory import MemoryBroker
from aioq.cron import CronEntry, CronOptions
from aioq.cron.definition import define
from aioq_cron import Every
from tests.chaos.figures import grid
from tests.chaos.simulation.fleet import Chaos, Simulation
from tests.chaos.simulation.gate import Tally
from tests.chaos.simulation.host import TrueClock

HOURS = float(os.environ.get("AIOQ_FLEET_HOURS", "2"))
"""Hours that are simulated, per seed; a tick comes every second."""
START = 1_750_000_000.0
PATIENCE = 10.0
"""Seconds that a worker may need to bid for a tick: until it asks again after a lost reply."""
NEVER = 1e9


def fire() -> None:
    """Stand for what the entry calls."""


@pytest.fixture
def anyio_backend() -> str:
    """Nothing waits in a simulation, so one event loop is as good as another."""
    return "asyncio"


async def simulate(seed: int, chaos: Chaos, *, catchup: float | None) -> tuple[Tally, list[float]]:
    """Let a fleet of four be put through something; return what came of it, and the ticks there were."""
    entry = CronEntry(
        name="tick",
        function=fire,
        schedule=Every(timedelta(seconds=1)),
        unique=True,
        expression="every 1s",
        options=CronOptions(misfire="all", catchup=catchup),
    )
    true = TrueClock(START)
    broker = MemoryBroker(clock=true)
    await broker.register_crons("fleet", "1", [define(entry)], ttl=30)
    simulation = Simulation(entry, broker, true, seed=seed, workers=4, chaos=chaos)
    tally = await simulation.run(HOURS * 3600)
    ticks = grid(START, true.now, 1)
    print(
        f"seed {seed}: {len(ticks)} ticks, {len(tally.won)} granted, {tally.double} twice, "
        f"{len(ticks) - len(tally.won)} never, {len(tally.won) - len(tally.heard)} to a worker that never learned of it; "
        f"{dict(tally.events)}"
    )
    return tally, ticks


@pytest.mark.parametrize("seed", range(2))
async def test_no_tick_is_granted_twice_and_none_is_missed_while_a_worker_is_up(seed: int) -> None:
    """Whatever happens to clocks, workers and replies: also when all workers are gone for a while."""
    tally, ticks = await simulate(seed, Chaos(outage=NEVER), catchup=None)
    assert tally.double == 0
    assert tally.missed(ticks, PATIENCE) == []
    assert set(tally.won) <= set(ticks)
    assert {"crash", "suspend", "step", "reply lost"} <= set(tally.events)


@pytest.mark.parametrize("seed", range(2, 4))
async def test_with_catchup_every_tick_is_granted_once(seed: int) -> None:
    """Nor does it matter then that the broker is away for a while, or that no worker was up."""
    tally, ticks = await simulate(seed, Chaos(), catchup=3600)
    assert tally.double == 0
    settled = [tick for tick in ticks if tick <= max(tally.won)]
    assert [tick for tick in settled if tick not in tally.won] == []
    assert len(settled) > 0.99 * len(ticks)
    assert {"crash", "suspend", "step", "outage", "reply lost"} <= set(tally.events)
