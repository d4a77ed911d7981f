"""A rolling deploy in its small size: no tick fires twice or late, and hand-backs use up no attempt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.faults import rolling_deploy
from tests.chaos.report import table
from tests.servers import HOW_TO, found


@pytest.mark.timeout(120)
@pytest.mark.skipif(not found(), reason=HOW_TO)
def test_rolling_deploy_fires_each_tick_once(tmp_path: Path, show_figures: Callable[[str], None]) -> None:
    """Kept entries fire on, changed ones are armed at once, removed ones are retired, and added ones begin."""
    deploy, results, added = rolling_deploy.run(rolling_deploy.SMALL, tmp_path)
    print(table(rolling_deploy.status_rows(deploy.before)), table(rolling_deploy.status_rows(deploy.after)), sep="\n\n")
    show_figures(table([result.row() for result in results]))
    show_figures(table([added.row()]))
    assert [missed for result in results for missed in result.missed_bars()] == []
    assert added.missed_bars() == []
    states = {row["entry"]: row["state"] for row in rolling_deploy.status_rows(deploy.after)}
    assert states == {
        f"{change}.{kind}": "retired" if change == "removed" else "armed"
        for change in ("kept", "changed", "removed", "added")
        for kind in ("unique", "schedule")
    }
