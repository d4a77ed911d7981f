"""Compares output with the page, except for what differs from run to run."""

from __future__ import annotations

import re

__all__ = ["matches", "pattern"]

_MOMENT = r"(?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[+-]\d\d:\d\d)?"

_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d\d:\d\d(?::\d\d)?\b"

# What is never the same twice is compared by its form.
_VARIABLE = (
    (_MOMENT, _MOMENT),
    (_WEEKDAY, _WEEKDAY),
    (r"\b[N-Z_a-z][\w-]{20}(?![\w-])", r"[N-Z_a-z][\w-]{20}"),
    (r"worker [\w.-]+-\d+-[0-9a-f]{6}\b", r"worker [\w.-]+-\d+-[0-9a-f]{6}"),
    (r"\b\d+\.\d{3} s\b", r"\d+\.\d{3} s"),
    (r"\.\.\.", r".*"),
)
_ANY = re.compile("|".join(f"(?P<v{index}>{shown})" for index, (shown, _) in enumerate(_VARIABLE)))


def pattern(expected: str) -> str:
    """Return a regular expression for the output that a page shows.

    A line `...` stands for any lines, and `...` within a line for any text.
    """
    return "".join(r"(?:.*\n)*?" if line.strip() == "..." else f"{_line(line)}\n" for line in expected.splitlines())


def matches(expected: str, actual: str, *, more: bool = False) -> bool:
    """Return whether `actual` is the expected output; with `more`, whether it begins with it."""
    text = "".join(f"{line.rstrip()}\n" for line in actual.splitlines())
    found = re.match(pattern(expected), text) if more else re.fullmatch(pattern(expected), text)
    return found is not None


def _line(line: str) -> str:
    parts, end = list[str](), 0
    for found in _ANY.finditer(line := line.rstrip()):
        parts += [re.escape(line[end : found.start()]), _VARIABLE[_which(found)][1]]
        end = found.end()
    return "".join(parts) + re.escape(line[end:])


def _which(found: re.Match[str]) -> int:
    return next(index for index in range(len(_VARIABLE)) if found[f"v{index}"] is not None)
