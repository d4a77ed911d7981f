"""The table of figures: medians of all rounds with their ranges, the best peer, and the verdicts on our bars."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.bench.bars import number, verdict
from tests.bench.throughput.contestants import OURS, Contestant
from tests.bench.throughput.measures import Measure
from tests.bench.throughput.rounds import Round
from tests.bench.throughput.sizes import Size

__all__ = ["Middle", "Middles", "medians", "middles", "table"]


@dataclass(frozen=True, slots=True)
class Middle:
    """What came of several rounds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        """Return it for people; the range only when there is one."""
        middle, least, most = map(number, (self.median, self.least, self.most))
        return middle if least == most else f"{middle} ({least}-{most})"


Middles: TypeAlias = dict[str, dict[str, Middle]]
"""By figure and library."""


def middles(rounds: Sequence[Round]) -> Middles:
    """Return the medians of all rounds, and their ranges."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for one in rounds:
        for name, appearance in one.items():
            for figure, value in appearance.figures.items():
                gathered.setdefault(figure, {}).setdefault(name, []).append(value)
    return {
        figure: {name: Middle(statistics.median(values), min(values), max(values)) for name, values in by_name.items()}
        for figure, by_name in gathered.items()
    }


def medians(middles: Middles) -> dict[str, dict[str, float]]:
    """Return the medians alone."""
    return {figure: {name: one.median for name, one in by_name.items()} for figure, by_name in middles.items()}


def table(rounds: Sequence[Round], contestants: Sequence[Contestant], measures: Sequence[Measure], size: Size) -> str:
    """Return a Markdown table with a row for each figure, also for one without a value."""
    peers = [one for one in contestants if one is not OURS]
    heads = ["", "aioq", "bars (first / goal)", "to the best peer", *[one.name for one in peers]]
    lines = [f"| {' | '.join(heads)} |", f"|---|---:|---|---|{'---:|' * len(peers)}"]
    found = middles(rounds)
    for measure in measures:
        failures = {name: reason for one in rounds for name, reason in _failures(one, measure.name)}
        for figure in measure.names(size):
            cells = [_cell(found.get(figure, {}), one, measure, failures, size) for one in (OURS, *peers)]
            said = verdict(figure, medians(found))
            lines.append(f"| {' | '.join([figure, cells[0], said, _ratio(figure, found), *cells[1:]])} |")
    return "\n".join(lines)


def _failures(one: Round, measure: str) -> list[tuple[str, str]]:
    return [(name, appearance.failed[measure]) for name, appearance in one.items() if measure in appearance.failed]


def _cell(
    by_name: dict[str, Middle], contestant: Contestant, measure: Measure, failures: dict[str, str], size: Size
) -> str:
    failed = failures.get(contestant.name, "").replace("|", "/").replace("\n", " ")[:80]
    if middle := by_name.get(contestant.name):
        return f"{middle}, once {failed}" if failed else str(middle)
    if failed:
        return failed
    if measure.needs in contestant.lacks:
        return f"no {measure.needs}"
    return "" if measure.due(contestant, 0, size) else "not in a quick run"


def _ratio(figure: str, found: Middles) -> str:
    """Return ours as a multiple of the best peer's: in bold where that is better."""
    values = {name: one.median for name, one in found.get(figure, {}).items()}
    ours = values.pop(OURS.name, None)
    if ours is None or not values:
        return ""
    more = figure.endswith("jobs/s")
    best = (max if more else min)(values, key=values.__getitem__)
    text = f"{ours / values[best]:.2f} x {best}" if values[best] else f"{best} has {number(values[best])}"
    return f"**{text}**" if (ours < values[best] if more else ours > values[best]) else text
