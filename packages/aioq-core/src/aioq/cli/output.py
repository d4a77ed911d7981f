"""Printing: results to stdout, everything else to stderr, without passwords and control characters."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aioq.cli.colors import Color, has_color, painted
from aioq.clock import SystemClock
from aioq.serialization.failure import one_line

__all__ = [
    "GAP",
    "Column",
    "Progress",
    "Table",
    "exit_when_reader_leaves",
    "out_has_color",
    "print_err",
    "print_json",
    "print_out",
    "print_table",
    "redact",
    "terminal_width",
]

# Matches up to the last @ before a blank or quote: a password that was not escaped may contain @ and /.
_CREDENTIALS = re.compile(r"(?<=://)([^\s'\"<>:/@]*):[^\s'\"<>]*@")

PROGRESS_INTERVAL = 5.0
"""Seconds between two lines of progress if stderr is not a terminal, where a line cannot be overwritten."""

GAP = "  "
"""Between two columns of a table."""

ELLIPSIS = "..."
MAX_LINE = 10_000
"""Characters of a table's line that are written even to a file."""


def print_out(text: str = "", color: Color | None = None) -> None:
    """Print to stdout, in a colour if it has colours, and flush it, so that the reader of a pipe gets it at once."""
    sys.stdout.write(f"{painted(text, color) if color and out_has_color() else text}\n")
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Print a value as JSON to stdout. What is not printable is escaped: stored texts may contain anything."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print_out(text if text.replace("\n", "").isprintable() else "".join(map(_json_character, text)))


def _json_character(character: str) -> str:
    # Outside of the texts, where line feeds are escaped already, JSON has no other unprintable character.
    printable = character.isprintable() or character == "\n"
    return character if printable else json.dumps(character)[1:-1]


def print_err(text: str, color: Color | None = None) -> None:
    """Print one line to stderr, with the name of the command, in a colour if stderr has colours."""
    line = f"aioq: {one_line(redact(text))}"
    sys.stderr.write(f"{painted(line, color) if color and has_color(sys.stderr, os.environ) else line}\n")


def redact(text: str) -> str:
    """Return the text with `***` for every password in a URL."""
    # Most lines have no URL, and need no search.
    return _CREDENTIALS.sub(r"\1:***@", text) if "://" in text else text


def out_has_color() -> bool:
    """Return whether text on stdout is coloured."""
    return has_color(sys.stdout, os.environ)


def terminal_width() -> int | None:
    """Return the columns of the terminal that stdout is; None if it is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def exit_when_reader_leaves() -> Generator[None]:
    """End the process silently if the reader of stdout has gone.

    For output from within tasks: there, a BrokenPipeError would count as an error of the task.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


class Progress:
    """Prints `what: 3 of 12` to stderr while work goes on.

    Args:
        what: The text before the numbers.
        total: The number of items.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._is_terminal = sys.stderr.isatty()
        self._clock = SystemClock()
        self._printed_at = self._clock.monotonic()

    def show(self, done: int) -> None:
        """Print how many items are done; if stderr is not a terminal, at most every few seconds."""
        text = f"{self._what}: {done:,} of {self._total:,}"
        if self._is_terminal:
            # To the start of the line, which is cleared, as the earlier text may be longer.
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif (now := self._clock.monotonic()) - self._printed_at >= PROGRESS_INTERVAL:
            self._printed_at = now
            sys.stderr.write(f"{text}\n")

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        title: The heading.
        least: Characters to which texts may be cut in a narrow terminal; None to cut nothing.
        keep_end: Cut the beginning of long texts, not the end.
        color: Returns the colour of a line of a cell; all are plain if None.
    """

    title: str
    least: int | None = None
    keep_end: bool = False
    color: Callable[[str], Color | None] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below their headings. A cell may have several lines.

    Args:
        columns: The columns, in order.
        rows: The cells of each row, one per column.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    def text(self, width: int | None = None, *, color: bool = False) -> str:
        """Return the table as aligned lines, in colours if `color` is set, which change no width.

        `width` is the most characters of a line, to which cells are cut.
        """
        # Cells hold text from the store, and control characters in it could change the terminal.
        blocks = [[[one_line(line, MAX_LINE) for line in cell.split("\n")] for cell in row] for row in self.rows]
        lines = [[column.title for column in self.columns]]
        for block in blocks:
            height = max(map(len, block))
            padded = [cell + [""] * (height - len(cell)) for cell in block]
            lines += [list(line) for line in zip(*padded, strict=True)]
        widths = _widths(self.columns, lines, width)
        return "\n".join(
            _line(self.columns, line, widths, _colors(self.columns, line, heading=place == 0) if color else None)
            for place, line in enumerate(lines)
        )


def print_table(table: Table) -> None:
    """Print a table that fits into the terminal, or is as wide as it needs in a file."""
    print_out(table.text(terminal_width(), color=out_has_color()))


def _widths(columns: Sequence[Column], lines: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the width of each column: that of its longest text, or less if the line would be too long."""
    widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
    if width is None:
        return widths
    excess = sum(widths) + len(GAP) * (len(columns) - 1) - width
    # Always from the column with the most room, so that all of them are cut evenly.
    while excess > 0:
        room = [0 if column.least is None else has - column.least for column, has in zip(columns, widths, strict=True)]
        widest = max(range(len(room)), key=room.__getitem__)
        if room[widest] <= 0:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _colors(columns: Sequence[Column], texts: Sequence[str], *, heading: bool) -> list[Color | None]:
    if heading:
        return [Color.BOLD] * len(columns)
    return [column.color(text) if column.color else None for column, text in zip(columns, texts, strict=True)]


def _line(
    columns: Sequence[Column], texts: Sequence[str], widths: Sequence[int], colors: Sequence[Color | None] | None
) -> str:
    cells = [_fit(column, text, width) for column, text, width in zip(columns, texts, widths, strict=True)]
    shown = cells if colors is None else map(painted, cells, colors)
    # The blanks are outside of the colours, so that those at the end are removed.
    blanks = [" " * (width - len(cell)) for cell, width in zip(cells, widths, strict=True)]
    return GAP.join(map(str.__add__, shown, blanks)).rstrip()


def _fit(column: Column, text: str, width: int) -> str:
    if len(text) <= width:
        return text
    kept = width - len(ELLIPSIS)
    return ELLIPSIS + text[len(text) - kept :] if column.keep_end else text[:kept] + ELLIPSIS
