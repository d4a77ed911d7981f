"""Counts how often each expected tick fired, from the runs that were logged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.run_log import Run

__all__ = ["MAX_LATE", "TickFigures", "count_ticks", "expected_ticks"]

MAX_LATE = 1.0
"""Seconds by which a tick may fire late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFigures:
    """The figures of one entry."""

    ticks: int
    """Expected ticks."""
    fires: int
    """Expected ticks that fired."""
    double: int
    """Ticks, expected or not, that fired more than once."""
    missed: tuple[float, ...]
    """Expected ticks that did not fire and that the ledger did not grant."""
    died: tuple[float, ...]
    """Expected ticks that did not fire although the ledger granted them: the worker was killed between."""
    stray: int
    """Runs for moments that are not ticks of the entry."""
    reruns: int
    """Second and later runs of a job, whose worker crashed."""
    late: float
    """Longest delay from a tick to its firing, in seconds."""
    started: float
    """Longest delay from a tick to the start of its first run, in seconds."""

    def missed_bars(self, *, measured: bool = True) -> list[str]:
        """Return a sentence for each bar that was not reached; `measured=False` leaves out what the machine decides."""
        bars = {
            f"{self.double} ticks fired twice": self.double,
            f"{len(self.missed)} of {self.ticks} ticks missed": len(self.missed),
            f"{self.stray} runs at no tick": self.stray,
            f"the latest fire was {self.late:.3f} s late": measured and self.late > MAX_LATE,
        }
        return [fault for fault, broken in bars.items() if broken]


def expected_ticks(start: float, end: float, every: float) -> list[float]:
    """Return the whole multiples of `every` after `start` and up to `end`."""
    return [number * every for number in range(math.floor(start / every) + 1, math.floor(end / every) + 1)]


def count_ticks(
    ticks: Sequence[float], every: float, runs: Iterable[Run], granted: Container[float] = ()
) -> TickFigures:
    """Compare the runs of one entry with its expected ticks and with the ticks that the ledger granted."""
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
