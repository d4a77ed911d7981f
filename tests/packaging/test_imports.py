"""The packages never import or run what a message names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.packaging.workspace import ROOT

SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))

EXECUTES = {"eval", "exec", "compile", "__import__", "import_module", "load_source", "run_path", "run_module"}

ALLOWED = {
    "aioq/backends/__init__.py": "names of our own table",
    "aioq/cli/demo/app.py": "a name of our own",
    "aioq/cli/demo/command.py": "a name of our own",
    "aioq/cli/demo/shop.py": "a name of our own",
    "aioq/cli/find_app.py": "what the user has typed",
    "aioq/cli/main.py": "names of our own table",
    "aioq/conformance/__main__.py": "what the user has typed",
    "aioq/worker/execution/asyncio_tasks.py": "a name of anyio",
    "aioq_cron/schedules/rrule.py": "a name of dateutil",
}
"""Files that import a module by its name, and where the name is from."""

UNSAFE = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "yaml"}


def within(source: Path) -> str:
    """Return the path of a file inside its package."""
    return source.as_posix().partition("/src/")[2]


def called(source: Path) -> set[str]:
    """Return the names of all functions that a file calls."""
    calls = [node.func for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    plain = {call.id for call in calls if isinstance(call, ast.Name)}
    return plain | {
        f"{call.attr}" for call in calls if isinstance(call, ast.Attribute) and call.attr == "import_module"
    }


@pytest.mark.parametrize("source", SOURCES, ids=within)
def test_import_by_name_only_in_known_files(source: Path) -> None:
    """Each of these files gets its names from the user or from our own code, never from a broker."""
    assert bool(called(source) & EXECUTES) == (within(source) in ALLOWED)


@pytest.mark.parametrize("source", SOURCES, ids=within)
def test_no_module_imports_pickle(source: Path) -> None:
    """No package imports a module that turns data into code."""
    imported = [
        node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {alias.name for node in imported if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imported if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} & UNSAFE == set()
