"""Counts the lines of files and functions, and the lines with comments."""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.architecture.source import Module

__all__ = ["Sizes", "percentile", "script_sizes", "sizes"]

PRAGMA = re.compile(r"#\s*(noqa|type:|pyright:|pragma:|fmt:)")
"""Comments that are for tools."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths in lines that are not blank.

    Args:
        files: The length of each file.
        functions: The length of each function and method, from its `def` on and without its docstring. A nested
            function counts on its own and as a part of the one around it.
        comments: Lines with a comment for readers.
    """

    files: tuple[int, ...] = ()
    functions: tuple[int, ...] = ()
    comments: int = 0

    def __add__(self, other: Sizes) -> Sizes:
        """Return the sizes of both together."""
        return Sizes(self.files + other.files, self.functions + other.functions, self.comments + other.comments)

    def row(self) -> dict[str, object]:
        """Return the figures of a table."""
        return {
            "files": len(self.files),
            "lines": sum(self.files),
            "file median": percentile(self.files, 0.5),
            "file p90": percentile(self.files, 0.9),
            "functions": len(self.functions),
            "function median": percentile(self.functions, 0.5),
            "function p90": percentile(self.functions, 0.9),
            "longest function": max(self.functions, default=0),
            "comments, % of lines": round(100 * self.comments / max(1, sum(self.files)), 1),
        }


def percentile(values: Sequence[int], share: float) -> int:
    """Return the smallest of the values that `share` of them do not exceed; 0 of no values."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else 0


def sizes(modules: Iterable[Module]) -> Sizes:
    """Measure modules."""
    return sum((_of_module(module) for module in modules), Sizes())


def script_sizes(scripts: Iterable[str]) -> Sizes:
    """Measure the files and comments of Lua scripts, and no functions."""
    lines = [script.splitlines() for script in scripts]
    return Sizes(tuple(map(_filled, lines)), (), sum("--" in line for script in lines for line in script))


def _of_module(module: Module) -> Sizes:
    lines = module.text.splitlines()
    functions = [
        node for node in ast.walk(ast.parse(module.text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = tuple(_length(function, lines) for function in functions)
    return Sizes((_filled(lines),), lengths, len({*_commented(module.text)}))


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: Sequence[str]) -> int:
    whole = _filled(lines[function.lineno - 1 : function.end_lineno])
    if ast.get_docstring(function, clean=False) is None:
        return whole
    docstring = function.body[0]
    return whole - _filled(lines[docstring.lineno - 1 : docstring.end_lineno])


def _filled(lines: Iterable[str]) -> int:
    return sum(1 for line in lines if line.strip())


def _commented(text: str) -> Iterator[int]:
    """Yield the number of each line with a comment for readers."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not PRAGMA.match(token.string):
            yield token.start[0]
