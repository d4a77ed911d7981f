"""What became of the ticks that were expected, counted from the runs that were written down."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.runs import Run

__all__ = ["LATEST", "TickFigures", "count", "grid"]

LATEST = 1.0
"""Seconds by which a fire may be late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFigures:
    """The figures of one entry."""

    ticks: int
    """Expected."""
    fires: int
    """Of those, fired at least once."""
    double: int
    """Ticks, of all there were, that fired more than once."""
    missed: tuple[float, ...]
    """Expected ticks that did not fire, and that the ledger granted to nobody."""
    died: tuple[float, ...]
    """Expected ticks that did not fire, although the ledger granted them: their worker was killed before it began."""
    stray: int
    """Runs for moments that are no ticks of the entry."""
    reruns: int
    """Runs of a job beyond its first: a worker that dies has its job run again."""
    late: float
    """Seconds that the latest fire was late."""
    started: float
    """Seconds from a tick to the start of its first run, at worst."""

    def faults(self) -> list[str]:
        """Return which bars are not reached, in words."""
        bars = {
            f"{self.double} ticks fired twice": self.double,
            f"{len(self.missed)} of {self.ticks} ticks missed": len(self.missed),
            f"{self.stray} runs at no tick": self.stray,
            f"the latest fire was {self.late:.3f} s late": self.late > LATEST,
        }
        return [fault for fault, broken in bars.items() if broken]


def grid(start: float, end: float, every: float) -> list[float]:
    """Return the whole multiples of `every` after `start`, up to and with `end`."""
    return [number * every for number in range(math.floor(start / every) + 1, math.floor(end / every) + 1)]


def count(ticks: Sequence[float], every: float, runs: Iterable[Run], granted: Container[float] = ()) -> TickFigures:
    """Count the runs of one entry against the ticks that it should have fired, and those that the ledger granted."""
    firsts: dict[float, Run] = {}
    fired, reruns, stray = Counter[float](), 0, 0
    seen: set[tuple[str, int]] = set()
    for run in runs:
        again = bool(run.job_id) and run.attempt > 1 and (run.job_id, run.attempt) not in seen
        seen.add((run.job_id, run.attempt))
        reruns += again
        fired[run.tick] += 0 if again and run.tick in fired else 1
        stray += run.tick % every != 0
        firsts.setdefault(run.tick, run)
    expected = [firsts[tick] for tick in ticks if tick in firsts]
    return TickFigures(
        ticks=len(ticks),
        fires=len(expected),
        double=sum(times > 1 for times in fired.values()),
        missed=tuple(tick for tick in ticks if tick not in firsts and tick not in granted),
        died=tuple(tick for tick in ticks if tick not in firsts and tick in granted),
        stray=stray,
        reruns=reruns,
        late=max((run.late for run in expected), default=0.0),
        started=max((run.at - run.tick for run in expected), default=0.0),
    )
