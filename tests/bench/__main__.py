"""The benchmarks: `python -m tests.bench [PART]... [--quick]`.

Prints one table a part, and writes all figures as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import burst, idle, lateness, month, processes
from tests.bench.lateness import Lateness
from tests.chaos.report import machine, table, write_json

__all__: list[str] = []

ENTRIES = 10_000
Figures = list[dict[str, Any]]


def _lateness(quick: bool, folder: Path) -> Figures:
    measured = lateness.measure(folder, quick=quick)
    ours = next((late.seconds.p50 for late in measured if late.seconds), 0.0)
    print("\n## How late crons are fired, in milliseconds\n")
    print(table([_late_row(late, ours) for late in measured]))
    return [late.facts() for late in measured]


def _late_row(late: Lateness, ours: float) -> dict[str, object]:
    seconds = late.seconds
    row: dict[str, object] = {"scheduler": late.tool, "version": late.version, "a tick every": f"{late.every} s"}
    if seconds is None:
        return row | {"ticks": 0}
    figures = {"p50": seconds.p50, "p99": seconds.p99, "max": seconds.largest}
    times = {"p50 / ours": f"{seconds.p50 / ours:.1f}" if ours else "", "fired early": late.early}
    return row | {"ticks": seconds.count} | {name: f"{value * 1000:.1f}" for name, value in figures.items()} | times


def _burst(quick: bool, folder: Path) -> Figures:
    bursts = burst.measure(1_000 if quick else ENTRIES)
    print("\n## Entries that are due at one instant: seconds after it\n")
    print(table([asdict(one) for one in bursts]))
    return [asdict(one) for one in bursts]


def _idle(quick: bool, folder: Path) -> Figures:
    idles = [idle.measure(crons, 5 if quick else 60) for crons in (0, ENTRIES)]
    print("\n## A worker with nothing to do: per cent of a core, and commands a second\n")
    print(table([asdict(one) for one in idles]))
    return [asdict(one) for one in idles]


def _month(quick: bool, folder: Path) -> Figures:
    cases = {"daily": "{} 9 * * *"} if quick else {"daily": "{} 9 * * *", "hourly": "{} * * * *"}
    months = [month.measure(case, expression, 100) for case, expression in cases.items()]
    print("\n## A month of a hundred crons on the virtual clock\n")
    print(table([asdict(one) for one in months]))
    return [asdict(one) for one in months]


def _processes(quick: bool, folder: Path) -> Figures:
    jobs = {0.0: 5_000, 0.001: 2_000} if quick else {0.0: 50_000, 0.001: 20_000}
    drained = [processes.measure(count, work, most) for work, most in jobs.items() for count in (1, 2)]
    print("\n## A queue drained by one and by two processes\n")
    print(table([asdict(one) for one in drained]))
    return [asdict(one) for one in drained]


PARTS: dict[str, Callable[[bool, Path], Figures]] = {
    "cron-lateness": _lateness,
    "cron-burst": _burst,
    "cron-idle": _idle,
    "cron-month": _month,
    "processes": _processes,
}


def main(argv: Sequence[str]) -> None:
    """Measure the parts that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="all of it within two minutes, and less to be trusted")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go; %(default)s")
    parser.add_argument(
        "--peers", type=Path, default=Path(".nox/peers"), help="where the others' environments are kept; %(default)s"
    )
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    facts: dict[str, Any] = {"quick": chosen.quick}
    for name in chosen.parts or PARTS:
        facts[name] = PARTS[name](chosen.quick, chosen.peers.resolve())
        write_json(chosen.json, facts)


if __name__ == "__main__":
    main(sys.argv[1:])
