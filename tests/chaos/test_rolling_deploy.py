"""A rolling deploy, in small: no tick fires twice, and nothing of the old version after the new one is up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.faults import rolling_deploy as redeploy
from tests.chaos.report import table
from tests.servers import HOW_TO, found


@pytest.mark.skipif(not found(), reason=HOW_TO)
def test_a_rolling_deploy(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """What is kept fires on, what is changed is armed at once, what is removed is retired, what is added begins."""
    deploy, results = redeploy.run(redeploy.SMALL, tmp_path)
    print(table(redeploy.seen(deploy.before)), table(redeploy.seen(deploy.after)), sep="\n\n")
    tell(table([result.row() for result in results]))
    assert [fault for result in results for fault in result.faults()] == []
    states = {row["entry"]: row["state"] for row in redeploy.seen(deploy.after)}
    assert states == {
        f"{change}.{kind}": "retired" if change == "removed" else "armed"
        for change in ("kept", "changed", "removed", "added")
        for kind in ("unique", "schedule")
    }
