"""docs/reference.md and the tables of docs/tasks.md have all public names."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from types import ModuleType

import pytest

import aioq
import aioq_cron
import aioq_otel
import aioq_prometheus
import aioq_redis
import aioq_web
from aioq import TaskOptions, context, cron, errors, exporters, protocols, testing
from aioq.model import cron as ticks
from aioq.model import health as findings
from aioq.model import job, states
from aioq.options import EnqueueOptions
from tests.docs.fences import ROOT
from tests.packaging.workspace import requirements

REFERENCE = (ROOT / "docs" / "reference.md").read_text()
TASKS = (ROOT / "docs" / "tasks.md").read_text()
NAMED = re.findall(r"^::: (\S+)$", REFERENCE, re.MULTILINE)


def documented() -> set[object]:
    """Return every object that the page documents."""
    found: set[object] = set()
    for name in NAMED:
        module, _, last = name.rpartition(".")
        target: object = getattr(import_module(module), last)
        found |= {getattr(target, part) for part in target.__all__} if isinstance(target, ModuleType) else {target}
    return found


@pytest.mark.parametrize(
    "package",
    [aioq, aioq_cron, aioq_otel, aioq_prometheus, aioq_redis, aioq_web, testing],
    ids=lambda package: package.__name__,
)
def test_reference_has_public_names(package: ModuleType) -> None:
    """The page documents every exported name of a package."""
    known = documented()
    assert [name for name in package.__all__ if getattr(package, name) not in known] == []


@pytest.mark.parametrize(
    "module", [context, cron, errors, exporters, findings, job, protocols, ticks], ids=lambda module: module.__name__
)
def test_reference_has_modules_for_third_parties(module: ModuleType) -> None:
    """The page documents the modules with which brokers and schedulers are written."""
    known = documented()
    assert [
        name
        for name in module.__all__
        if isinstance(getattr(module, name), type) and getattr(module, name) not in known
    ] == []


def test_reference_has_states_and_verbs() -> None:
    """The page documents the table of transitions, which brokers use."""
    assert {states.JobState, states.Verb, states.after} <= documented()


def options(heading: str) -> dict[str, str]:
    """Return the first columns of the table below a heading: each option and its default, if any."""
    section = TASKS.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): row[1].strip(" `") for row in rows}


def test_task_option_table_is_complete() -> None:
    """The table has every option with its default."""
    shown = options("Options of a task")
    assert shown.pop("name") == "module.function"
    actual = {field.name: field.default for field in fields(TaskOptions)}
    assert set(shown) == set(actual)
    assert {name: eval(text) for name, text in shown.items()} == actual


def test_enqueue_option_table_is_complete() -> None:
    """The table has every option of `Task.options`."""
    assert set(options("Options of one job")) == {f.name for f in fields(EnqueueOptions) if f.init}


def test_package_table_has_requirements() -> None:
    """README.md lists the requirements of each distribution."""
    rows = re.findall(r"^\| `(aioq[\w-]*)` \|.*\| ([^|]*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == {path.parent.name for path in ROOT.glob("packages/*/pyproject.toml")}
    for name, needs in rows:
        assert set(needs.split(", ")) == {each.name for each in requirements(name).values() if not each.marker}


def test_tasks_page_explains_errors_of_results() -> None:
    """The page on tasks explains each error that `result()` raises."""
    results = {errors.JobFailed, errors.JobDead, errors.JobCancelled, errors.JobExpired}
    results |= {errors.JobEnded, errors.JobNotFound, errors.ResultDropped, errors.ResultTimeout}
    assert all(f"| `{error.__name__}` |" in TASKS for error in results)
