"""Plain text in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aioq.failure import one_line

__all__ = ["Column", "table"]

GAP = "  "
CUT = "..."
LONGEST = 10_000
"""Characters of a line, after which not even a file gets more."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        title: What stands above it.
        least: Characters that are left of it where the terminal is narrow; None keeps all.
        keep_end: Cut the beginning of long texts, not the end.
    """

    title: str
    least: int | None = None
    keep_end: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, width: int | None = None) -> str:
    """Return rows as aligned lines under their titles; the lines of a cell stand below each other.

    Args:
        columns: The columns, in order.
        rows: The cells of each row, one per column.
        width: Characters that a line may have; cells are cut to fit. None for any number.
    """
    blocks = [[[one_line(line, LONGEST) for line in cell.split("\n")] for cell in row] for row in rows]
    lines = [[column.title for column in columns]]
    for block in blocks:
        height = max(map(len, block))
        padded = [cell + [""] * (height - len(cell)) for cell in block]
        lines += [list(line) for line in zip(*padded, strict=True)]
    widths = _widths(columns, lines, width)
    return "\n".join(_line(columns, line, widths) for line in lines)


def _widths(columns: Sequence[Column], lines: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return how wide each column is: as wide as its texts, less where the width asks for it."""
    widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
    if width is None:
        return widths
    excess = sum(widths) + len(GAP) * (len(columns) - 1) - width
    while excess > 0:
        room = [0 if column.least is None else has - column.least for column, has in zip(columns, widths, strict=True)]
        most = max(range(len(room)), key=room.__getitem__)
        if room[most] <= 0:
            break
        widths[most] -= 1
        excess -= 1
    return widths


def _line(columns: Sequence[Column], texts: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(columns, texts, widths, strict=True)
    return GAP.join(_fit(column, text, width).ljust(width) for column, text, width in cells).rstrip()


def _fit(column: Column, text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return CUT + text[len(text) - width + len(CUT) :] if column.keep_end else text[: width - len(CUT)] + CUT
