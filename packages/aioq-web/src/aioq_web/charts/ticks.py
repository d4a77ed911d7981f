"""Computes the strip of an entry's ticks: how late each was, and which did not succeed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.cron import TickRecord, TickStatus

__all__ = ["Mark", "strip", "strip_paths"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One tick in a strip."""

    css: str
    x: float
    """Percent."""
    width: float
    up: float
    """Percent of the upper half: how late the tick was, on a logarithmic scale."""
    down: bool
    """Whether a mark below the line says that the tick did not succeed."""
    title: str


SCALE: Final = (0.001, 100.0)
"""Seconds of lateness at the bottom and at the top of a strip."""

MARK_CLASSES: Final = {
    TickStatus.OK: "completed f",
    TickStatus.FAILED: "failed f",
    TickStatus.SKIPPED: "skipped f",
    TickStatus.MISSED: "missed o",
}

UNSUCCESSFUL: Final = frozenset({TickStatus.FAILED, TickStatus.SKIPPED, TickStatus.MISSED})


def strip(records: Iterable[TickRecord], titles: Iterable[str], *, places: int = 100) -> list[Mark]:
    """Return the marks of ticks, the oldest at the left.

    Args:
        records: The ticks, newest first.
        titles: What to say of each.
        places: Ticks that a whole strip has.
    """
    pairs = [*zip(records, titles, strict=True)][::-1]
    step = 100 / places
    first = places - len(pairs)
    return [
        Mark(
            css=MARK_CLASSES.get(record.status, "running f"),
            x=round((first + place) * step, 3),
            width=round(step * 0.72, 3),
            up=round(_height(record), 1),
            down=record.status in UNSUCCESSFUL,
            title=title,
        )
        for place, (record, title) in enumerate(pairs)
    ]


def strip_paths(records: Sequence[TickRecord], *, places: int) -> dict[str, str]:
    """Return the same strip as one path for each class, in an SVG of 1000 by 100: a list has thousands of ticks.

    Args:
        records: The ticks, newest first.
        places: Ticks that a whole strip has.
    """
    step = 1000 / places
    paths: dict[str, str] = {}
    for place, record in enumerate(records):
        x, width = round((places - 1 - place) * step, 1), round(step * 0.72, 1)
        css, up = MARK_CLASSES.get(record.status, "running f"), round(0.72 * _height(record), 1)
        marks = f"M{x} 72h{width}v{-up}h{-width}z" if up else ""
        if record.status in UNSUCCESSFUL:
            marks += f"M{x} 78h{width}v{12 if record.status is TickStatus.SKIPPED else 22}h{-width}z"
        paths[css] = paths.get(css, "") + marks
    return paths


def _height(record: TickRecord) -> float:
    if record.fired_at is None:
        return 0.0
    least, most = SCALE
    late = min(max(record.late, least), most)
    return 6 + 94 * math.log(late / least) / math.log(most / least)
