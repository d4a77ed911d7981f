"""F12 in its small size: every tick of a fleet's entry fires once, despite kills, wrong clocks and restarts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

import pytest

from tests.chaos.faults import fleet_ticks
from tests.chaos.report import table
from tests.servers import HOW_TO, found

pytestmark = pytest.mark.skipif(not found(), reason=HOW_TO)


@pytest.mark.parametrize("variant", fleet_ticks.VARIANTS)
def test_fleet_tick_fires_once(variant: str, tmp_path: Path, show_figures: Callable[[str], None]) -> None:
    """A cron with `unique=True`, a schedule and a stored schedule fire each tick once, in each variant."""
    result = fleet_ticks.run(variant, fleet_ticks.SMALL, SystemRandom().randrange(10**6), tmp_path)
    show_figures(f"seed {result.seed}\n{table(result.rows())}")
    assert result.missed_bars(measured=False) == []
    assert result.inline.fires + len(result.inline.died) == result.jobs.fires == result.jobs.ticks
    assert result.stored.fires == result.stored.ticks == result.jobs.ticks
    assert result.jobs.ticks >= fleet_ticks.SMALL.seconds - 1
