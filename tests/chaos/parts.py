"""The parts of the chaos suite: each puts a fleet through a fault and prints its figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.chaos.faults import fleet_ticks, rolling_deploy, suspended_worker
from tests.chaos.faults.catalogue import FAULTS, Fault
from tests.chaos.report import table

__all__ = ["PARTS", "Part", "PartResult", "find_part"]


class Measured(Protocol):
    """The result of one case."""

    def missed_bars(self) -> list[str]:
        """Return a sentence for each bar that was not reached."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return the figures."""
        ...


class PartResult(NamedTuple):
    """The result of one part of the suite."""

    facts: list[dict[str, Any]]
    missed: list[str]
    """A sentence for each bar that was not reached."""
    rows: list[dict[str, object]]
    """Rows for the table of all parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the suite, found by its number or its name."""

    number: str
    name: str
    run: Callable[[int, bool, Path], PartResult]
    """Takes a seed, whether to run the small size, and a folder for logs."""

    @property
    def title(self) -> str:
        """Return number and name."""
        return f"{self.number} {self.name}".strip()


def find_part(text: str) -> Part | None:
    """Return the part with this number or name, in any case."""
    return next((part for part in PARTS if text.lower() in (part.number.lower(), part.name)), None)


def _run_fault(fault: Fault, seed: int, quick: bool, folder: Path) -> PartResult:
    results = fault.run(not quick, seed, folder)
    print(table([result.row() for result in results]), "\n")
    print(table([row for result in results for row in result.bar_rows()]))
    return PartResult(
        [result.as_facts() for result in results],
        [missed for result in results for missed in result.missed_bars()],
        [result.row() for result in results],
    )


def _run_fleet_ticks(seed: int, quick: bool, folder: Path) -> PartResult:
    plan = fleet_ticks.SMALL if quick else fleet_ticks.FULL
    started = time.time()
    with ThreadPoolExecutor(len(fleet_ticks.VARIANTS)) as pool:
        # The variants are idle most of the time and each has a server of its own, so they run at the same time.
        results = list(
            pool.map(
                lambda variant: fleet_ticks.run(variant, plan, seed, _subfolder(folder, variant)), fleet_ticks.VARIANTS
            )
        )
    print(f"{plan.workers} workers, {plan.seconds:g} s, an entry every {plan.every} s\n")
    print(table([row for result in results for row in result.rows()]))
    return _part_result(results, [_variant_row(result, time.time() - started) for result in results])


def _variant_row(result: fleet_ticks.Result, seconds: float) -> dict[str, object]:
    both = (result.inline, result.jobs)
    return {
        "fault": f"{fleet_ticks.FAULT} {result.variant}",
        "jobs": sum(figures.ticks for figures in both),
        "lost": sum(len(figures.missed) for figures in both),
        "ran twice": sum(figures.double for figures in both),
        "late s": max(figures.late for figures in both),
        "worker exits": result.exits,
        "seconds": round(seconds, 1),
        "bars": f"{len(result.missed_bars())} MISSED" if result.missed_bars() else "all",
    }


def _run_suspended_worker(seed: int, quick: bool, folder: Path) -> PartResult:
    plan = suspended_worker.SMALL if quick else suspended_worker.FULL
    results = suspended_worker.run(plan, folder)
    print(f"A worker stopped for {results[0].stopped:.1f} s, an entry every {plan.every} s, grace {plan.grace:g} s\n")
    print(table([result.row() for result in results]))
    return _part_result(results, _one_row("suspended_worker", results))


def _run_rolling_deploy(seed: int, quick: bool, folder: Path) -> PartResult:
    plan = rolling_deploy.SMALL if quick else rolling_deploy.FULL
    deploy, results, added = rolling_deploy.run(plan, folder)
    print(f"A rolling deploy over {plan.workers} workers\n\nThe ledger before:\n")
    print(
        table(rolling_deploy.status_rows(deploy.before)),
        "\n\nThe ledger after:\n",
        table(rolling_deploy.status_rows(deploy.after)),
        sep="\n",
    )
    print("\nFired ticks:\n", table([result.row() for result in results]), sep="\n")
    print("\nJobs of the added task:\n", table([added.row()]), sep="\n")
    return _part_result([*results, added], _one_row("rolling_deploy", [*results, added]))


def _part_result(results: Sequence[Measured], rows: list[dict[str, object]]) -> PartResult:
    missed = [sentence for result in results for sentence in result.missed_bars()]
    return PartResult([result.facts() for result in results], missed, rows)


def _one_row(name: str, results: Sequence[Measured]) -> list[dict[str, object]]:
    missed = sum(len(result.missed_bars()) for result in results)
    return [{"fault": name, "bars": f"{missed} MISSED" if missed else "all"}]


def _subfolder(folder: Path, name: str) -> Path:
    subfolder = folder / name
    subfolder.mkdir()
    return subfolder


PARTS = (
    *(Part(fault.number, fault.name, partial(_run_fault, fault)) for fault in FAULTS),
    Part("F12", "fleet_ticks", _run_fleet_ticks),
    Part("", "suspended_worker", _run_suspended_worker),
    Part("", "rolling_deploy", _run_rolling_deploy),
)
"""All parts, in the order of their runs."""
