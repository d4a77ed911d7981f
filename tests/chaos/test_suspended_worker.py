"""A suspended worker in its small size: each misfire policy decides about the ticks of the stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.faults import suspended_worker
from tests.chaos.report import table
from tests.servers import HOW_TO, found


@pytest.mark.skipif(not found(), reason=HOW_TO)
def test_suspended_worker_follows_misfire_policies(tmp_path: Path, show_figures: Callable[[str], None]) -> None:
    """`once` fires the newest tick, `skip` no tick later than its grace, `all` every tick; the ledger has each."""
    results = suspended_worker.run(suspended_worker.SMALL, tmp_path)
    show_figures(table([result.row() for result in results]))
    assert [missed for result in results for missed in result.missed_bars()] == []
    assert len(results) == 9
    assert all(result.during.ticks >= 2 for result in results)
