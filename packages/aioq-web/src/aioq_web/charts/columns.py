"""Computes charts of values over time: columns, and a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Chart", "Column", "columns", "line", "round_up"]

STEPS: Final = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Column:
    """One value.

    Args:
        x: Where its place begins, in percent.
        width: In percent.
        height: In percent.
        title: What it is.
    """

    x: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart of values over time.

    Args:
        columns: Its values that are not 0.
        points: The lines, each as points of an SVG of 1000 by 100.
        top: The value at its upper edge.
    """

    columns: Sequence[Column] = ()
    points: Sequence[str] = ()
    top: float


def columns(values: Sequence[int], title: Callable[[int], str]) -> Chart:
    """Return a chart with a column for each value that is not 0; `title` says what the one at a place is."""
    top = round_up(max(values, default=0))
    width = 100 / max(len(values), 1)
    found = [
        Column(round(place * width, 3), round(width * 0.8, 3), round(100 * value / top, 1), title(place))
        for place, value in enumerate(values)
        if value
    ]
    return Chart(columns=found, top=top)


def line(values: Sequence[float | None]) -> Chart:
    """Return a chart with a line through values. Where values are missing it is interrupted."""
    known = [value for value in values if value is not None]
    top = round_up(max(known, default=0.0))
    step = 1000 / max(len(values) - 1, 1)
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{place * step:.1f},{100 - 100 * value / top:.1f}")
    # A single point has no line: it is drawn as a short one.
    return Chart(points=[" ".join(points if len(points) > 1 else points * 2) for points in lines if points], top=top)


def round_up(value: float) -> float:
    """Return a round number that is at least `value`: 1, 2 or 5 times a power of ten; 1 for 0."""
    if value <= 0:
        return 1.0
    size = 10.0 ** (len(f"{value:.0f}") - 1) if value >= 1 else 0.001
    while size * 10 < value:
        size *= 10
    return next(size * step for step in STEPS if size * step >= value)
