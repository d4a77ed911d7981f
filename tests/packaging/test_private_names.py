"""No code relies on names that another package may rename: each use has a guard, and is listed here."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from aioq.worker.execution import asyncio_tasks
from tests.packaging.workspace import ROOT

GUARDED = {
    ("packages/aioq-core/src/aioq/worker/execution/asyncio_tasks.py", "anyio._backends._asyncio"),
    ("packages/aioq-core/src/aioq/worker/worker.py", "trio._core._ki"),
}
"""Files with the private modules that they look for at run time, and can do without."""

MODULES = re.compile(r"(?:anyio|hiredis|msgspec|redis|trio|uvloop)(?:\.\w+)*\._\w+(?:\.\w+)*")


def private_modules(text: str) -> Iterator[str]:
    """Yield the private modules of other packages that a source imports or names in a text."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULES.fullmatch(node.value):
            yield node.value
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for name in (f"{module}.{name}".strip(".") for name in names):
            if any(re.match("_(?!_)", part) for part in name.split(".")) and not name.startswith("aioq"):
                yield name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from anyio._backends import _asyncio", ["anyio._backends._asyncio"]),
        ("import redis._parsers", ["redis._parsers"]),
        ("import_module('msgspec._core')", ["msgspec._core"]),
        ("from __future__ import annotations\nfrom aioq._x import y\nimport anyio.abc", []),
    ],
)
def test_private_modules_finds_imports_and_names(text: str, found: list[str]) -> None:
    """The scan finds both forms of an import, and a name that is imported at run time."""
    assert list(private_modules(text)) == found


def test_packages_use_no_private_module_without_a_guard() -> None:
    """All uses are those in the list, and all in the list are there."""
    sources = ROOT.glob("packages/*/src/**/*.py")
    assert {
        (str(path.relative_to(ROOT)), name) for path in sources for name in private_modules(path.read_text())
    } == GUARDED


@pytest.mark.parametrize("backend", [None, ModuleType("backend"), "renamed"])
def test_scopes_of_tasks_without_the_table_is_empty(monkeypatch: pytest.MonkeyPatch, backend: object) -> None:
    """A release of anyio without the module, without the table, or with another kind of table does no harm."""
    if backend == "renamed":
        backend = ModuleType("backend")
        backend.__dict__["_task_states"] = object()
    monkeypatch.setitem(sys.modules, "anyio._backends._asyncio", backend)  # None blocks the import
    assert asyncio_tasks.scopes_of_tasks() == {}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("state", [None, object(), SimpleNamespace(cancel_scope=object())])
async def test_is_shielded_with_other_records_is_false(monkeypatch: pytest.MonkeyPatch, state: object) -> None:
    """A release of anyio that keeps other records in the table does no harm: a job can be cancelled as ever."""
    task = asyncio.current_task()
    assert task is not None
    monkeypatch.setattr(asyncio_tasks, "_scopes", {task: state})
    assert not asyncio_tasks.is_shielded(task)
