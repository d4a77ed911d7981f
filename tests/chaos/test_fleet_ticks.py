"""F12 in small: every tick of a fleet's entry fires once, whatever is done to workers, clocks and the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

import pytest

from tests.chaos.faults import fleet_ticks as f12
from tests.chaos.report import table
from tests.servers import HOW_TO, found

pytestmark = pytest.mark.skipif(not found(), reason=HOW_TO)


@pytest.mark.parametrize("variant", f12.VARIANTS)
def test_every_tick_fires_once(variant: str, tmp_path: Path, tell: Callable[[str], None]) -> None:
    """As a cron with `unique=True`, and as a schedule: fires are ticks, none twice, none missed, none late."""
    result = f12.run(variant, f12.SMALL, SystemRandom().randrange(10**6), tmp_path)
    tell(f"seed {result.seed}\n{table(result.rows())}")
    assert result.faults() == []
    assert result.inline.fires + len(result.inline.died) == result.jobs.fires == result.jobs.ticks
    assert result.jobs.ticks >= f12.SMALL.seconds - 1
