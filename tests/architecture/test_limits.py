"""The packages keep the limits of the layout."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.architecture import limits
from tests.architecture.imports import cycles, depth, imports, top_level
from tests.architecture.source import packages
from tests.architecture.walks import CRON_LIST, ENQUEUE, JOB, ROOT, TICK, Walk, record, shortest
from tests.servers import found

PACKAGES = {package.name: package for package in packages(ROOT)}

RECORDED = {ENQUEUE: "enqueue", JOB: "job", TICK: "tick", CRON_LIST: "cron-list"}

MOST_RECORDS = 3


@pytest.mark.parametrize("name", limits.ENTRIES)
def test_package_has_few_entries_at_its_top_level(name: str) -> None:
    """A reader sees the parts of a package at one glance."""
    assert len(PACKAGES[name].entries) <= limits.ENTRIES[name]


@pytest.mark.parametrize("name", limits.DEPTH)
def test_imports_between_entries_are_not_deep(name: str) -> None:
    """The longest chain of imports between the modules and folders at the top level is limited."""
    assert depth(top_level(imports(PACKAGES[name]))) <= limits.DEPTH[name]


@pytest.mark.parametrize("name", PACKAGES)
def test_imports_have_no_cycles(name: str) -> None:
    """Imports for type checkers count, too."""
    assert cycles(imports(PACKAGES[name])) == []


def test_example_broker_with_every_protocol_is_short() -> None:
    """A reader gets through the example broker in an afternoon."""
    sources = (ROOT / "tests/packaging/third_party/aioq-sqlite/src").rglob("*.py")
    lines = [line for source in sources for line in source.read_text("utf-8").splitlines() if line.strip()]
    assert len(lines) <= limits.EXAMPLE


@pytest.mark.skipif(not {"redis", "valkey"} & found().keys(), reason="no server is installed")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", RECORDED)
def test_call_path_stays_in_few_files(name: str) -> None:
    """The files and the changes of file of a recorded call path are limited."""
    files, changes = limits.WALKS[name]
    # Of the first job there is one recording each time, and a duty that is due every second may fall into it.
    seen: list[tuple[int, int]] = []
    for walked in _walked(name):
        seen.append((walked.files, walked.changes))
        if walked.files <= files and walked.changes <= changes:
            return
    pytest.fail(f"{name}: {seen} files and changes, at most {files} and {changes}")


def _walked(name: str) -> Iterator[Walk]:
    for _ in range(MOST_RECORDS):
        recordings = record(RECORDED[name], ROOT)
        yield shortest(name, recordings[:1] if name == JOB else recordings)
