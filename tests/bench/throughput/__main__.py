"""Throughput, ours and the peers', in one interleaved run: `python -m tests.bench.throughput [--quick]`.

Every library runs in an environment of its own at a pinned release, on one core, beside a
server without persistence on another. The rounds are interleaved, so that what slows the
machine down slows everybody; the table shows medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.throughput.contestants import CONTESTANTS, OURS, Contestant
from tests.bench.throughput.measures import EVERYBODY, OURS_ALONE, Figures
from tests.bench.throughput.report import bars, medians, table
from tests.bench.throughput.stage import Stage
from tests.bench.throughput.store import CORES, Store, serving

__all__: list[str] = []

QUICK = 0.2
"""Share of the jobs of a full run."""


def main(argv: Sequence[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.throughput", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of less, within two minutes")
    parser.add_argument("--rounds", type=int, default=5, help="of a full run; %(default)s")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these libraries alone")
    parser.add_argument("--measure", nargs="*", metavar="NAME", help="these measures alone")
    parser.add_argument("--json", type=Path, default=Path("build/throughput.json"), help="where the figures go")
    parser.add_argument("--peers", type=Path, default=Path(".nox/peers"), help="where the environments are kept")
    chosen = parser.parse_args(argv)
    contestants = [one for one in CONTESTANTS if chosen.only is None or one.name in chosen.only]
    text, facts = run(
        contestants, chosen.peers.resolve(), 1 if chosen.quick else chosen.rounds, chosen.quick, chosen.measure
    )
    print(f"\n{text}")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(facts, indent=1))


def run(
    contestants: Sequence[Contestant], peers: Path, rounds: int, quick: bool, wanted: Sequence[str] | None = None
) -> tuple[str, dict[str, Any]]:
    """Measure all of them, round by round; return tables for people and figures for programs."""
    with serving() as store:
        facts = machine(store)
        print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
        stages = [Stage(one, store, peers) for one in contestants]
        seen = [{stage.contestant.name: appearance(stage, quick, wanted) for stage in stages} for _ in range(rounds)]
    figures = medians(seen)
    facts |= {"releases": releases(contestants), "quick": quick, "medians": figures, "rounds": seen}
    return f"{table(figures, [one.name for one in contestants])}\n\n{bars(figures)}", facts


def appearance(stage: Stage, quick: bool, wanted: Sequence[str] | None) -> Figures:
    """Measure one library once."""
    figures: Figures = {}
    for measure in (*EVERYBODY, *(OURS_ALONE if stage.contestant is OURS else ())):
        if wanted is None or measure.__name__ in wanted:
            figures |= measure(stage, QUICK if quick else 1.0)
    print(
        f"{stage.contestant.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()), flush=True
    )
    return figures


def machine(store: Store) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "Python": platform.python_version(),
        "server": store.name,
        "cores": len(CORES) or os.cpu_count(),
        "processor": platform.machine(),
        "uvloop": version("uvloop"),
    }


def releases(contestants: Sequence[Contestant]) -> dict[str, Sequence[str]]:
    """Return what was installed for whom."""
    return {one.name: one.requirements or (f"aioq-core {version('aioq-core')}",) for one in contestants}


if __name__ == "__main__":
    main(sys.argv[1:])
