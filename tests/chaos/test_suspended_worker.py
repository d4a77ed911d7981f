"""A worker that stands still for a while, in small: each misfire policy does what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.faults import suspended_worker as stopped
from tests.chaos.report import table
from tests.servers import HOW_TO, found


@pytest.mark.skipif(not found(), reason=HOW_TO)
def test_each_misfire_policy(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """`once` fires the newest tick, `skip` none that is later than its grace, `all` fires all; the ledger has each."""
    results = stopped.run(stopped.SMALL, tmp_path)
    tell(table([result.row() for result in results]))
    assert [fault for result in results for fault in result.faults()] == []
    assert len(results) == 9
    assert all(result.during.ticks >= 2 for result in results)
