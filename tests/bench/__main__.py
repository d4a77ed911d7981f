"""The benchmarks: `python -m tests.bench [PART]... [--quick]`.

Prints one table a part, and writes all figures as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import burst, idle, lateness, month, processes, steps
from tests.bench.burst import Burst
from tests.bench.idle import Idle
from tests.bench.lateness import Lateness
from tests.bench.month import Month
from tests.bench.page import put
from tests.bench.processes import Drained
from tests.bench.steps import Step
from tests.bench.throughput import __main__ as throughput
from tests.bench.throughput.contestants import CONTESTANTS
from tests.chaos.report import machine, table, write_json

__all__: list[str] = []

ENTRIES = 10_000
ROUNDS = 5
"""Of the benchmark of throughput; the table shows medians."""


class Part(NamedTuple):
    """What came of one part."""

    text: str
    """Tables, for people."""
    facts: Any
    """For programs."""


def _lateness(quick: bool, folder: Path) -> Part:
    measured = lateness.measure(folder, quick=quick)
    ours = next((late.seconds.p50 for late in measured if late.seconds), 0.0)
    return Part(table([_late_row(late, ours) for late in measured]), [late.facts() for late in measured])


def _late_row(late: Lateness, ours: float) -> dict[str, object]:
    seconds = late.seconds
    row: dict[str, object] = {"scheduler": late.tool, "version": late.version, "a tick every": f"{late.every} s"}
    if seconds is None:
        return row | {"ticks": 0}
    figures = {"p50 ms": seconds.p50, "p99 ms": seconds.p99, "max ms": seconds.largest}
    row |= {"ticks": seconds.count} | {name: round(value * 1000, 1) for name, value in figures.items()}
    return row | {"p50 / ours": round(seconds.p50 / ours, 1) if ours else "", "fired early": late.early}


def _burst(quick: bool, folder: Path) -> Part:
    return _plain(burst.measure(1_000 if quick else ENTRIES, ahead=3 if quick else 20))


def _idle(quick: bool, folder: Path) -> Part:
    return _plain([idle.measure(crons, *(10, 5) if quick else (30, 60)) for crons in (0, ENTRIES)])


def _month(quick: bool, folder: Path) -> Part:
    loops = [month.scheduler(expression, 100, 31) for expression in ("{} 9 * * *", "{} * * * *")]
    return _plain([month.app(), *loops, month.worker("{} * * * *", 100, 1)])


def _steps(quick: bool, folder: Path) -> Part:
    return _plain(steps.measure())


def _processes(quick: bool, folder: Path) -> Part:
    jobs = {0.0: 20_000, 0.001: 2_000} if quick else {0.0: 100_000, 0.001: 20_000}
    return _plain([processes.measure(count, work, most) for work, most in jobs.items() for count in (1, 2)])


def _throughput(quick: bool, folder: Path) -> Part:
    return Part(*throughput.run(CONTESTANTS, folder, 1 if quick else ROUNDS, quick))


def _plain(measured: Iterable[Burst | Drained | Idle | Month | Step]) -> Part:
    rows: list[dict[str, object]] = [
        {head.replace("_", " "): round(value, 3) if isinstance(value, float) else value for head, value in row.items()}
        for row in map(asdict, measured)
    ]
    return Part(table(rows), rows)


PARTS: dict[str, Callable[[bool, Path], Part]] = {
    "cron-lateness": _lateness,
    "cron-burst": _burst,
    "cron-idle": _idle,
    "cron-month": _month,
    "cron-steps": _steps,
    "processes": _processes,
    "throughput": _throughput,
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
    parser.add_argument("--page", type=Path, help="put the tables into this page, docs/benchmarks.md")
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    facts: dict[str, Any] = {"quick": chosen.quick}
    for name in chosen.parts or PARTS:
        part = PARTS[name](chosen.quick, chosen.peers.resolve())
        facts[name] = part.facts
        print(f"\n## {name}\n\n{part.text}", flush=True)
        write_json(chosen.json, facts)
        if chosen.page:
            put(chosen.page, name, part.text)


if __name__ == "__main__":
    main(sys.argv[1:])
