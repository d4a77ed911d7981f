"""The faults of jobs, in small: nothing lost, nothing stuck, no worker gone, and every other bar reached."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

import pytest

from tests.chaos.faults.catalogue import FAULTS
from tests.chaos.report import table
from tests.chaos.verdict import Verdict
from tests.servers import HOW_TO, found

pytestmark = pytest.mark.skipif(not found(), reason=HOW_TO)

GROUPS = (
    ("F1", "F2", "F6", "F13", "F16"),
    ("F1b", "F3", "F10", "F15", "F18"),
    ("F4", "F5", "F9", "F14"),
    ("F7", "F8", "F11", "F19"),
)
"""Faults that happen side by side, for their workers wait most of the time."""


def test_no_fault_is_left_out() -> None:
    """Each is in one group."""
    assert sorted(name for group in GROUPS for name in group) == sorted(FAULTS)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("group", GROUPS, ids="-".join)
def test_every_bar_is_reached(group: tuple[str, ...], tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Whatever is done to workers, their server, and the way between them; the figures are told in any case."""
    seed = SystemRandom().randrange(10**6)
    tell(f"seed {seed}")

    def put_through(name: str) -> list[Verdict]:
        return FAULTS[name](False, seed, tmp_path / name)

    with ThreadPoolExecutor(len(group)) as pool:
        verdicts = [verdict for some in pool.map(put_through, group) for verdict in some]
    tell(table([verdict.row() for verdict in verdicts]))
    assert [fault for verdict in verdicts for fault in verdict.faults()] == []
