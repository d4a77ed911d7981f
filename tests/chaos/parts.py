"""The parts of the chaos suite: what each puts a fleet through, and what it prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.chaos.faults import fleet_ticks, rolling_deploy, suspended_worker
from tests.chaos.faults.catalogue import FAULTS, Fault
from tests.chaos.report import table

__all__ = ["PARTS", "Part"]


class Measured(Protocol):
    """What came of one case."""

    def faults(self) -> list[str]:
        """Return what is not as it must be, in words."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return the figures."""
        ...


class Part(NamedTuple):
    """What came of one part of the suite."""

    facts: list[dict[str, Any]]
    faults: list[str]
    rows: list[dict[str, object]]
    """For the table of all."""


def _of_jobs(fault: Fault, seed: int, quick: bool, folder: Path) -> Part:
    verdicts = fault(not quick, seed, folder)
    print(table([verdict.row() for verdict in verdicts]), "\n")
    print(table([row for verdict in verdicts for row in verdict.bar_rows()]))
    return Part(
        [verdict.as_facts() for verdict in verdicts],
        [fault for verdict in verdicts for fault in verdict.faults()],
        [verdict.row() for verdict in verdicts],
    )


def _f12(seed: int, quick: bool, folder: Path) -> Part:
    plan, started = fleet_ticks.SMALL if quick else fleet_ticks.FULL, time.time()
    with ThreadPoolExecutor(len(fleet_ticks.VARIANTS)) as pool:
        # Idle for most of the time, and each with a server of its own, so they may run side by side.
        results = list(
            pool.map(lambda variant: fleet_ticks.run(variant, plan, seed, _room(folder, variant)), fleet_ticks.VARIANTS)
        )
    print(f"{plan.workers} workers, {plan.seconds:g} s, an entry every {plan.every} s\n")
    print(table([row for result in results for row in result.rows()]))
    return _told(results, [_f12_row(result, time.time() - started) for result in results])


def _f12_row(result: fleet_ticks.Result, seconds: float) -> dict[str, object]:
    both = (result.inline, result.jobs)
    return {
        "fault": f"F12 {result.variant}",
        "jobs": sum(figures.ticks for figures in both),
        "lost": sum(len(figures.missed) for figures in both),
        "ran twice": sum(figures.double for figures in both),
        "late s": max(figures.late for figures in both),
        "worker exits": result.exits,
        "seconds": round(seconds, 1),
        "bars": f"{len(result.faults())} MISSED" if result.faults() else "all",
    }


def _stopped(seed: int, quick: bool, folder: Path) -> Part:
    plan = suspended_worker.SMALL if quick else suspended_worker.FULL
    results = suspended_worker.run(plan, folder)
    print(f"A worker stopped for {results[0].stopped:.1f} s, an entry every {plan.every} s, grace {plan.grace:g} s\n")
    print(table([result.row() for result in results]))
    return _told(results, _one_row("stopped", results))


def _redeploy(seed: int, quick: bool, folder: Path) -> Part:
    plan = rolling_deploy.SMALL if quick else rolling_deploy.FULL
    deploy, results = rolling_deploy.run(plan, folder)
    print(f"A rolling deploy over {plan.workers} workers\n\nThe ledger before:\n")
    print(
        table(rolling_deploy.seen(deploy.before)),
        "\n\nThe ledger after:\n",
        table(rolling_deploy.seen(deploy.after)),
        sep="\n",
    )
    print("\nWhat fired:\n", table([result.row() for result in results]), sep="\n")
    return _told(results, _one_row("redeploy", results))


def _told(results: Sequence[Measured], rows: list[dict[str, object]]) -> Part:
    return Part(
        [result.facts() for result in results], [fault for result in results for fault in result.faults()], rows
    )


def _one_row(name: str, results: Sequence[Measured]) -> list[dict[str, object]]:
    missed = sum(len(result.faults()) for result in results)
    return [{"fault": name, "bars": f"{missed} MISSED" if missed else "all"}]


def _room(folder: Path, name: str) -> Path:
    room = folder / name
    room.mkdir()
    return room


PARTS: Mapping[str, Callable[[int, bool, Path], Part]] = {
    **{name: partial(_of_jobs, fault) for name, fault in FAULTS.items()},
    "F12": _f12,
    "stopped": _stopped,
    "redeploy": _redeploy,
}
"""By name, in the order in which they run: each given a seed, whether to be quick, and a folder for logs."""
