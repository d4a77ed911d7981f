"""Throughput, ours and the peers', in one interleaved run.

Every library runs in an environment of its own at a pinned release, on one core, beside a server without persistence
on another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.server import server_name
from tests.bench.throughput.contestants import CONTESTANTS
from tests.bench.throughput.measures import MEASURES
from tests.bench.throughput.report import middles, table
from tests.bench.throughput.rounds import Appearance, Round, Series
from tests.bench.throughput.sizes import Size
from tests.bench.throughput.store import serving

__all__ = ["Throughput"]


@dataclass(frozen=True, slots=True)
class Throughput:
    """What is asked for.

    Args:
        size: How much is measured.
        folder: Where environments are kept.
        libraries: Names of those that take part; all by default.
        measures: Names of what is measured; all by default.
    """

    size: Size
    folder: Path
    libraries: Sequence[str] = ()
    measures: Sequence[str] = ()

    def plan(self) -> dict[str, Any]:
        """Return what a run must have in common with one that it goes on with."""
        return {
            "size": asdict(self.size),
            "releases": {one.name: one.release for one in CONTESTANTS},
            "libraries": list(self.libraries),
            "measures": list(self.measures),
        }

    def run(self, keep: Callable[[Mapping[str, Any]], None], before: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Measure; return a table for people and figures for programs.

        `keep` gets the figures so far after each appearance, and `before` are those of a run that was broken off.
        """
        plan = self.plan()
        series = self._series(lambda rounds: keep(plan | {"rounds": _facts(rounds)}))
        if all(before.get(name) == value for name, value in plan.items()):
            series.rounds = [_round(one) for one in before["rounds"]]
        with serving() as store:
            rounds = series.run(store)
        figures = {
            figure: {name: asdict(one) for name, one in by_name.items()} for figure, by_name in middles(rounds).items()
        }
        text = table(rounds, series.contestants, series.measures, self.size)
        return text, plan | {"server": server_name(), "figures": figures, "rounds": _facts(rounds)}

    def planned(self) -> float:
        """Return the seconds that all of it is planned to take."""
        return self._series(lambda rounds: None).planned()

    def _series(self, keep: Callable[[Sequence[Round]], None]) -> Series:
        contestants = [one for one in CONTESTANTS if not self.libraries or one.name in self.libraries]
        measures = [one for one in MEASURES if not self.measures or one.name in self.measures]
        return Series(contestants, measures, self.size, self.folder, keep)


def _facts(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    return [{name: asdict(appearance) for name, appearance in one.items()} for one in rounds]


def _round(facts: Mapping[str, Any]) -> Round:
    return {name: Appearance(**one) for name, one in facts.items()}
