"""Finds which module imports which, how long the chains of imports are, and which are circular."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import TypeAlias

from tests.architecture.source import Module, Package

__all__ = ["Graph", "cycles", "depth", "imports", "top_level"]

Graph: TypeAlias = Mapping[str, AbstractSet[str]]
"""The modules that each module imports."""


def imports(package: Package) -> Graph:
    """Return the imports between the modules of a package.

    Imports inside functions and those for type checkers count too. The package's own `__init__` and `__main__` are
    left out: the first imports everything to publish it, and nothing imports the second.
    """
    known = {module.name for module in package.modules} - {package.name, f"{package.name}.__main__"}
    return {
        module.name: {name for name in _imported(module, known) if name != module.name}
        for module in package.modules
        if module.name in known
    }


def top_level(graph: Graph) -> Graph:
    """Return the imports between the modules and folders at the top level of a package, each by its own name."""
    entries: dict[str, set[str]] = {}
    for name, imported in graph.items():
        entry = _entry(name)
        entries.setdefault(entry, set()).update({_entry(other) for other in imported} - {entry})
    return entries


def cycles(graph: Graph) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or by way of others, sorted."""
    reached = {name: _reachable(graph, name) for name in graph}
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph}
    return sorted([*group] for group in groups if group)


def depth(graph: Graph) -> int:
    """Return the number of modules on the longest chain of imports; all modules of a cycle count."""
    group = {name: (name,) for name in graph} | {name: tuple(found) for found in cycles(graph) for name in found}

    @cache
    def length(members: tuple[str, ...]) -> int:
        below = {group[imported] for name in members for imported in graph[name]} - {members}
        return len(members) + max(map(length, below), default=0)

    return max(map(length, group.values()), default=0)


def _entry(name: str) -> str:
    return name.split(".")[1]


def _reachable(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _imported(module: Module, known: AbstractSet[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, module)
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                yield from [name for name in (submodule, source) if name in known][:1]


def _source(node: ast.ImportFrom, module: Module) -> str:
    """Return the absolute name of the module that names are imported from."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    above = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*above, *([node.module] if node.module else [])])
