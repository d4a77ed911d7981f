"""All contestants, round by round, so that what slows the machine down slows everybody; none can end the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.bench.environments import make
from tests.bench.progress import left, span
from tests.bench.throughput.contestants import Contestant
from tests.bench.throughput.measures import Measure
from tests.bench.throughput.sizes import Size
from tests.bench.throughput.stage import HUNG, Failed, Stage
from tests.bench.throughput.store import Store

__all__ = ["Appearance", "Round", "Series"]


ENOUGH = 2
"""Measures that may hang in one appearance; then the rest is given up, for each costs a minute."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """One contestant in one round."""

    figures: dict[str, float]
    """What was measured."""
    failed: dict[str, str]
    """Why a measure failed."""
    took: dict[str, float]
    """Seconds of each measure."""


Round: TypeAlias = dict[str, Appearance]
"""By the names of contestants."""


@dataclass(slots=True)
class Series:
    """Rounds; some may have been measured before.

    Args:
        contestants: The libraries to measure.
        measures: What is measured.
        size: How much of it.
        folder: Where environments are kept.
        keep: What is to be done with the rounds after each appearance.
        rounds: Those that there are already.
    """

    contestants: Sequence[Contestant]
    measures: Sequence[Measure]
    size: Size
    folder: Path
    keep: Callable[[Sequence[Round]], None]
    rounds: list[Round] = field(default_factory=list)

    def run(self, store: Store) -> list[Round]:
        """Measure what is missing."""
        for number in range(self.size.rounds):
            if number == len(self.rounds):
                self.rounds.append({})
            for contestant in self.contestants:
                if contestant.name not in self.rounds[number]:
                    self._appear(contestant, number, store)
        return self.rounds

    def planned(self) -> float:
        """Return the seconds that are planned for what is missing."""
        return sum(self._planned(one, number) for one, number in self._missing())

    def _planned(self, contestant: Contestant, number: int) -> float:
        return sum(measure.planned(contestant, number, self.size) for measure in self.measures)

    def _missing(self) -> list[tuple[Contestant, int]]:
        return [
            (one, number)
            for number in range(self.size.rounds)
            for one in self.contestants
            if number >= len(self.rounds) or one.name not in self.rounds[number]
        ]

    def _appear(self, contestant: Contestant, number: int, store: Store) -> None:
        to_come = left(self.planned(), self._done())
        where = f"throughput, round {number + 1} of {self.size.rounds}, {contestant.name}"
        print(f"{where}; {span(to_come)} left", flush=True)
        due = [measure for measure in self.measures if measure.due(contestant, number, self.size)]
        appearance = appear(Stage(contestant, store, self.folder, self.size.patience), due, self.size)
        for name, reason in appearance.failed.items():
            print(f"  {name} failed: {reason}", flush=True)
        self.rounds[number][contestant.name] = appearance
        self.keep(self.rounds)

    def _done(self) -> list[tuple[float, float]]:
        """Return what was planned for each appearance so far, and what it took."""
        by_name = {one.name: one for one in self.contestants}
        return [
            (self._planned(by_name[name], number), sum(appearance.took.values()))
            for number, one in enumerate(self.rounds)
            for name, appearance in one.items()
            if name in by_name
        ]


def appear(stage: Stage, measures: Sequence[Measure], size: Size) -> Appearance:
    """Measure one contestant once. What fails is noted, and the next is measured all the same."""
    seen = Appearance({}, {}, {})
    try:
        if environment := stage.contestant.environment:
            make(environment, stage.environments)
        for measure in measures:
            begin = time.monotonic()
            _measure(measure, stage, size, seen)
            seen.took[measure.name] = time.monotonic() - begin
    except (OSError, RuntimeError) as error:
        seen.failed.update({measure.name: str(error) for measure in measures if measure.name not in seen.took})
    finally:
        stage.clear()
    return seen


def _measure(measure: Measure, stage: Stage, size: Size, seen: Appearance) -> None:
    if sum(reason.startswith(HUNG) for reason in seen.failed.values()) >= ENOUGH:
        seen.failed[measure.name] = f"not tried: {ENOUGH} others hung"
        return
    try:
        seen.figures.update(measure.run(stage, size))
    except Exception as error:  # whatever a library did: it must not cost the figures of the others
        seen.failed[measure.name] = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
    stage.clear(producer=measure.name in seen.failed)
