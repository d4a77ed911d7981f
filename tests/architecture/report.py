"""Puts the figures of one checkout, or of two beside each other, into tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from tests.architecture import limits
from tests.architecture.imports import cycles, depth, imports, top_level
from tests.architecture.sizes import Sizes, script_sizes, sizes
from tests.architecture.source import Package
from tests.architecture.walks import Walk

__all__ = ["Row", "compared", "import_rows", "size_rows", "walk_rows"]

Row: TypeAlias = dict[str, object]


def size_rows(packages: Sequence[Package]) -> list[Row]:
    """Return a row for each package, one for all of them, and one for their Lua scripts."""
    measured = {package.name: sizes(package.modules) for package in packages}
    measured["all"] = sum(measured.values(), Sizes())
    measured["Lua scripts"] = script_sizes(script for package in packages for script in package.scripts)
    return [{"package": name} | one.row() for name, one in measured.items()]


def import_rows(packages: Sequence[Package]) -> list[Row]:
    """Return a row for each package."""
    return [_import_row(package) for package in packages]


def walk_rows(walks: Iterable[Walk]) -> list[Row]:
    """Return a row for each call path."""
    return [{"call path": walk.name} | walk.row() | {"at most, files / changes": _limit(walk)} for walk in walks]


def compared(before: Sequence[Row], after: Sequence[Row]) -> list[Row]:
    """Return the rows of `after`; cells that differ show the value before, too.

    A row belongs to the row before that has the same value in the first column.
    """
    earlier = {_title(row): row for row in before}
    return [_with_changes(earlier.get(_title(row), {}), row) for row in after]


def _import_row(package: Package) -> Row:
    graph = imports(package)
    entries = top_level(graph)
    return {
        "package": package.name,
        "top-level entries": len(package.entries),
        "at most": limits.ENTRIES.get(package.name, ""),
        "import depth between them": depth(entries),
        "not deeper than": limits.DEPTH.get(package.name, ""),
        "import depth of all modules": depth(graph),
        "imports between entries": sum(map(len, entries.values())),
        "import cycles": len(cycles(graph)),
    }


def _limit(walk: Walk) -> str:
    return " / ".join(map(str, limits.WALKS.get(walk.name, ())))


def _title(row: Mapping[str, object]) -> object:
    return next(iter(row.values()))


def _with_changes(before: Row, after: Row) -> Row:
    title, *heads = after
    changed = {
        head: f"{before.get(head, 'none')} -> {after[head]}" for head in heads if before.get(head) != after[head]
    }
    return {title: after[title]} | {head: changed.get(head, after[head]) for head in heads}
