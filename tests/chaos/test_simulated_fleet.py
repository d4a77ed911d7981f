"""Hours of a simulated fleet: each tick is granted once, and none is missed while a worker is up."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from aioq.backends.memory import MemoryBroker
from aioq.cron import CronEntry, CronOptions
from aioq.cron.definition import define
from aioq_cron import Every
from tests.chaos.simulation.lossy_ledger import Tally
from tests.chaos.simulation.simulated_fleet import Chaos, Simulation
from tests.chaos.simulation.simulated_host import TrueClock
from tests.chaos.tick_figures import expected_ticks

HOURS = float(os.environ.get("AIOQ_FLEET_HOURS", "2"))
"""Hours that are simulated, per seed; a tick comes every second."""
START = 1_750_000_000.0
CLAIM_TIME = 10.0
"""Seconds that a worker may need to claim a tick: it repeats a claim after a lost reply."""
NEVER = 1e9


def fire() -> None:
    """Do nothing: stand for the function of the entry."""


@pytest.fixture
def anyio_backend() -> str:
    """Use asyncio alone: a simulation never waits."""
    return "asyncio"


async def simulate(seed: int, chaos: Chaos, *, catchup: float | None) -> tuple[Tally, list[float]]:
    """Run a fleet of four workers through faults; return the tally and the expected ticks."""
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
    ticks = expected_ticks(START, true.now, 1)
    print(
        f"seed {seed}: {len(ticks)} ticks, {len(tally.granted)} granted, {tally.double} twice, "
        f"{len(ticks) - len(tally.granted)} never, {len(tally.granted) - len(tally.received)} whose reply no worker received; "
        f"{dict(tally.events)}"
    )
    return tally, ticks


@pytest.mark.parametrize("seed", range(2))
async def test_simulated_fleet_grants_each_tick_once_while_up(seed: int) -> None:
    """No tick is granted twice, and none is missed while a worker is up, whatever happens to clocks and replies."""
    tally, ticks = await simulate(seed, Chaos(outage=NEVER), catchup=None)
    assert tally.double == 0
    assert tally.missed(ticks, CLAIM_TIME) == []
    assert set(tally.granted) <= set(ticks)
    assert {"crash", "suspend", "step", "reply lost"} <= set(tally.events)


@pytest.mark.parametrize("seed", range(2, 4))
async def test_simulated_fleet_with_catchup_grants_all_ticks(seed: int) -> None:
    """With catchup, ticks of an outage of the broker or of all workers are granted too."""
    tally, ticks = await simulate(seed, Chaos(), catchup=3600)
    assert tally.double == 0
    settled = [tick for tick in ticks if tick <= max(tally.granted)]
    assert [tick for tick in settled if tick not in tally.granted] == []
    assert len(settled) > 0.99 * len(ticks)
    assert {"crash", "suspend", "step", "outage", "reply lost"} <= set(tally.events)
