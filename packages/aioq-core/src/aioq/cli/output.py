"""What commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aioq.clock import SystemClock
from aioq.serialization.failure import one_line

__all__ = [
    "Column",
    "Progress",
    "print_err",
    "exit_when_reader_leaves",
    "redact",
    "print_out",
    "print_json",
    "table",
    "terminal_width",
]


def print_out(text: str = "") -> None:
    """Print to stdout, at once: a reader at the other end of a pipe sees it as it happens."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Print a value for programs."""
    print_out(json.dumps(value, indent=2, ensure_ascii=False))


def print_err(text: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"aioq: {one_line(redact(text))}\n")


def terminal_width() -> int | None:
    """Return the columns of the terminal that stdout is; None when it is something else."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def exit_when_reader_leaves() -> Generator[None]:
    """Have the process end, without a word, when whoever reads stdout has left.

    For what prints from within tasks, where an exception would be taken for the task's own.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


EVERY = 5.0
"""Seconds between lines where stderr is no terminal, on which one line could be written again and again."""


class Progress:
    """Says `what: 3 of 12` as work goes on.

    Args:
        what: What stands before the figures.
        total: How much there is to do.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._terminal = sys.stderr.isatty()
        self._clock = SystemClock()
        self._said = self._clock.monotonic()

    def show(self, done: int) -> None:
        """Say that so much is done, unless something was said a moment ago."""
        text = f"{self._what}: {done:,} of {self._total:,}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif (moment := self._clock.monotonic()) - self._said >= EVERY:
            self._said = moment
            sys.stderr.write(f"{text}\n")

    def clear(self) -> None:
        """Make room for other text."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


# Greedy up to the last @ before a blank or quote: a password that nobody escaped may hold @ and / itself.
_CREDENTIALS = re.compile(r"(?<=://)([^\s'\"<>:/@]*):[^\s'\"<>]*@")


def redact(text: str) -> str:
    """Return the text with `***` for every password in a URL."""
    return _CREDENTIALS.sub(r"\1:***@", text) if "://" in text else text


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
