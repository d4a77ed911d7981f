"""The table of figures with their ratios, and whether our bars were reached."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from tests.bench.throughput.bars import BARS, Bar

__all__ = ["Medians", "bars", "medians", "table"]

Medians: TypeAlias = dict[str, dict[str, float]]
"""Figure, contestant, median."""

OURS = "aioq"


def medians(rounds: Iterable[Mapping[str, Mapping[str, float]]]) -> Medians:
    """Return the median of each figure over all rounds, each of which maps contestants to figures."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for one in rounds:
        for contestant, figures in one.items():
            for figure, value in figures.items():
                gathered.setdefault(figure, {}).setdefault(contestant, []).append(value)
    return {
        figure: {name: statistics.median(values) for name, values in by_name.items()}
        for figure, by_name in gathered.items()
    }


def table(figures: Medians, contestants: Sequence[str]) -> str:
    """Return the figures as a Markdown table; in brackets, how many times ours each is."""
    lines = [f"| | {' | '.join(contestants)} |", f"|---|{'---:|' * len(contestants)}"]
    for figure, by_name in figures.items():
        cells = [_cell(by_name.get(name), None if name == OURS else by_name.get(OURS)) for name in contestants]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def bars(figures: Medians) -> str:
    """Return what became of each bar as a Markdown table."""
    lines = ["| bar | ours | first bar | goal | |", "|---|---:|---:|---:|---|"]
    lines += [line for bar in BARS if (line := _bar(bar, figures.get(bar.figure, {})))]
    return "\n".join(lines)


def _bar(bar: Bar, by_name: Mapping[str, float]) -> str | None:
    ours, beside = by_name.get(OURS), _beside(bar, by_name)
    if ours is None or beside is None:
        return None
    value = ours / beside
    reached = [value >= limit if bar.least else value <= limit for limit in (bar.goal, bar.first)]
    verdict = "goal" if reached[0] else "first bar" if reached[1] else "**missed**"
    name = f"{bar.figure}, as a ratio to {bar.beside}" if bar.beside else bar.figure
    return f"| {name} | {_number(value)} | {_number(bar.first)} | {_number(bar.goal)} | {verdict} |"


def _beside(bar: Bar, by_name: Mapping[str, float]) -> float | None:
    if not bar.beside:
        return 1.0
    peers = {name: value for name, value in by_name.items() if name != OURS}
    if bar.beside == "best":
        return (max if bar.least else min)(peers.values(), default=None)
    return peers.get(bar.beside)


def _cell(value: float | None, ours: float | None) -> str:
    if value is None:
        return ""
    return f"{_number(value)} ({value / ours:.2f})" if ours else _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
