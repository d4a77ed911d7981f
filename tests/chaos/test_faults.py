"""The faults of jobs, in their small size."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

import pytest

from tests.chaos.fault_result import FaultResult
from tests.chaos.faults.catalogue import FAULTS
from tests.chaos.report import table
from tests.servers import HOW_TO, found

pytestmark = pytest.mark.skipif(not found(), reason=HOW_TO)

GROUPS = (
    ("F1", "F2", "F6", "F13", "F16"),
    ("F1b", "F3", "F10", "F15", "F18"),
    ("F4", "F5", "F9", "F14", "F14b", "F20", "F22"),
    ("F7", "F7b", "F8", "F11", "F17", "F19", "F21"),
)
"""Faults that run at the same time, because their workers wait most of the time."""


def test_groups_contain_each_fault_once() -> None:
    """Each fault of the catalogue belongs to one group."""
    assert sorted(number for group in GROUPS for number in group) == sorted(fault.number for fault in FAULTS)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("group", GROUPS, ids="-".join)
def test_fault_loses_nothing(group: tuple[str, ...], tmp_path: Path, show_figures: Callable[[str], None]) -> None:
    """No job is lost or stuck, no worker exits by itself, and every bar is reached that no machine decides about."""
    seed = SystemRandom().randrange(10**6)
    show_figures(f"seed {seed}")

    faults = {fault.number: fault for fault in FAULTS}

    def run_fault(number: str) -> list[FaultResult]:
        return faults[number].run(False, seed, tmp_path / number)

    with ThreadPoolExecutor(len(group)) as pool:
        results = [result for some in pool.map(run_fault, group) for result in some]
    show_figures(table([result.row() for result in results]))
    assert [missed for result in results for missed in result.missed_bars(measured=False)] == []
