"""Fixtures for the tests of the pages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import servers
from tests.docs.fences import THIRD_PARTY
from tests.packaging.third_party.metadata import write_metadata


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """Use one kind of server: other tests cover the differences."""
    return servers.first()


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the example packages importable, for this process and, by the returned path, for others."""
    projects = [path.parent for path in THIRD_PARTY.glob("*/pyproject.toml")]
    for project in projects:
        write_metadata(project, tmp_path / "metadata")
    path = [str(tmp_path / "metadata"), *(str(project / "src") for project in projects)]
    monkeypatch.setattr(sys, "path", [*path, *sys.path])
    return path
