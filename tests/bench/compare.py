"""Two checkouts beside each other: `python -m tests.bench compare --base DIR [--source DIR]`.

Each round measures the base, the source and the base a second time, in changing order, on a server with a core of its
own. The difference between the two measurements of the base is the noise of the run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any, TypeAlias

from tests.architecture.source import source_folders
from tests.bench.bars import number
from tests.bench.progress import left, span
from tests.bench.server import server_name
from tests.bench.throughput.contestants import OURS
from tests.bench.throughput.measures import MEASURES, Measure
from tests.bench.throughput.rounds import Appearance, appear
from tests.bench.throughput.sizes import FULL, QUICK, Size
from tests.bench.throughput.stage import Stage
from tests.bench.throughput.store import Store, serving
from tests.chaos.report import machine, table, write_json

__all__ = ["AGAIN", "BASE", "COMPARED", "SIDES", "SOURCE", "Comparison", "compare", "order", "rows"]

ROOT = Path(__file__).parents[2]
BASE, SOURCE, AGAIN = SIDES = ("base", "source", "base again")

COMPARED = {
    "one": "enqueue one, jobs/s",
    "drain": "drain, jobs/s",
    "results": "drain with results, jobs/s",
    "latency": "latency p50, ms",
}
"""The figure of each measure that is compared; the file has the other figures of these measures, too."""

LONG = replace(FULL, rounds=12, singles=8000, late=500)
SHORT = replace(QUICK, rounds=3, singles=1000, patience=30)

Values: TypeAlias = Mapping[str, Mapping[str, Sequence[float]]]
"""By figure and side, in the order of the rounds."""


@dataclass(slots=True)
class Comparison:
    """A base and a source that are measured in turn.

    Args:
        base: The checkout that is measured twice.
        source: The checkout that is compared with it.
        size: How much is measured.
        keep: What is to be done with the values after each round.
        measures: The names of what is measured, of `COMPARED`.
    """

    base: Path
    source: Path
    size: Size
    keep: Callable[[Values], None]
    measures: Sequence[str] = tuple(COMPARED)

    def run(self) -> Values:
        """Measure all rounds.

        Raises:
            RuntimeError: A measure failed, or a checkout cannot be imported.
        """
        folders = {side: _importable(self.source if side == SOURCE else self.base) for side in SIDES}
        chosen = [measure for measure in MEASURES if measure.name in self.measures]
        values: dict[str, dict[str, list[float]]] = {
            figure: {side: [] for side in SIDES} for measure in chosen for figure in measure.figures
        }
        begun = time.monotonic()
        with serving() as store:
            for done in range(self.size.rounds):
                self._announce(done, time.monotonic() - begun, chosen)
                for measure in chosen:
                    for side in order(done):
                        for figure, value in self._figures(measure, folders[side], store).items():
                            values[figure][side].append(value)
                self.keep(values)
        return values

    def _figures(self, measure: Measure, folders: Sequence[Path], store: Store) -> Mapping[str, float]:
        stage = Stage(OURS, store, Path(), self.size.patience, folders)
        appearance: Appearance = appear(stage, [measure], self.size)
        if appearance.failed:
            raise RuntimeError(f"{measure.name} of {folders[0]} failed: {appearance.failed[measure.name]}")
        return appearance.figures

    def _announce(self, done: int, seconds: float, measures: Sequence[Measure]) -> None:
        planned = sum(measure.seconds[self.size.quick] for measure in measures) * len(SIDES)
        to_come = left(planned * (self.size.rounds - done), [(planned * done, seconds)] if done else [])
        print(f"round {done + 1} of {self.size.rounds}; {span(to_come)} left", flush=True)


def order(number: int) -> tuple[str, ...]:
    """Return the sides in the order of a round: all orders take turns, so that none has an advantage."""
    orders = [*permutations(SIDES)]
    return orders[number % len(orders)]


def rows(values: Values, *, within: float) -> list[dict[str, object]]:
    """Return a row for each compared figure: medians with quartiles, differences to the base, and the verdict."""
    return [_row(figure, values[figure], within) for figure in COMPARED.values() if figure in values]


def compare(argv: Sequence[str]) -> int:
    """Compare two checkouts; return 1 if the source is worse by more than is allowed."""
    chosen = _arguments(argv)
    size = SHORT if chosen.quick else LONG
    size = replace(size, rounds=chosen.rounds or size.rounds)
    print(f"{machine()['cpus']} CPUs, {server_name()}, load {os.getloadavg()[0]:.2f}", flush=True)

    def keep(values: Values) -> None:
        write_json(chosen.json, {"rounds": size.rounds, "quick": size.quick, "server": server_name(), "values": values})

    try:
        comparison = Comparison(chosen.base, chosen.source, size, keep, chosen.measure or tuple(COMPARED))
        compared = rows(comparison.run(), within=chosen.within)
    except (OSError, RuntimeError) as error:
        sys.exit(str(error))
    print(f"\n{table(compared)}\n\nAll figures are in {chosen.json}.")
    return any(row[f"within {chosen.within:g} %"] == "no" for row in compared)


def _row(figure: str, sides: Mapping[str, Sequence[float]], within: float) -> dict[str, object]:
    base = statistics.median(sides[BASE])
    change, noise = (100 * (statistics.median(sides[side]) / base - 1) for side in (SOURCE, AGAIN))
    worse = -change if figure.endswith("jobs/s") else change
    return {
        "median (quartiles)": figure,
        BASE: _spread(sides[BASE]),
        SOURCE: _spread(sides[SOURCE]),
        "difference": f"{change:+.1f} %",
        AGAIN: _spread(sides[AGAIN]),
        "noise": f"{noise:+.1f} %",
        f"within {within:g} %": "yes" if worse <= within else "no",
    }


def _spread(values: Sequence[float]) -> str:
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    low, middle, high = map(number, quartiles)
    return f"{middle} ({low}-{high})"


def _importable(checkout: Path) -> list[Path]:
    """Return the folders from which to import the packages of a checkout.

    Raises:
        RuntimeError: They are not imported from there.
    """
    folders = source_folders(checkout)
    path = os.pathsep.join(map(str, folders))
    process = subprocess.run(
        [sys.executable, "-c", "import aioq, aioq_redis; print(aioq.__file__); print(aioq_redis.__file__)"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [Path(line) for line in process.stdout.splitlines()]
    if not found or not all(any(file.is_relative_to(folder) for folder in folders) for file in found):
        raise RuntimeError(f"aioq cannot be imported from the checkout {checkout}\n{process.stderr}".strip())
    return folders


def _arguments(argv: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.bench compare", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="the checkout to compare with; it is measured twice")
    parser.add_argument("--source", type=Path, default=ROOT, help="the checkout to compare; this one by default")
    parser.add_argument("--rounds", type=int, help=f"{LONG.rounds} by default, and {SHORT.rounds} if quick")
    parser.add_argument("--quick", action="store_true", help="less of everything, in a minute or two")
    parser.add_argument("--measure", action="append", choices=[*COMPARED], help="what to measure; all by default")
    parser.add_argument("--within", type=float, default=5.0, help="percent by which figures may be worse; %(default)g")
    parser.add_argument(
        "--json", type=Path, default=Path("build/compare.json"), help="where the values go; %(default)s"
    )
    chosen = parser.parse_args(argv)
    chosen.base = chosen.base.resolve()
    chosen.source = chosen.source.resolve()
    return chosen
