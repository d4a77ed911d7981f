"""Replaces `pip install` of the packages in this folder, if they are not installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.packaging.third_party.metadata import write_metadata

HERE = Path(__file__).parent
PROJECTS = sorted(path.parent for path in HERE.glob("*/pyproject.toml"))
MISSING = [project for project in PROJECTS if find_spec(project.name.replace("-", "_")) is None]

sys.path.extend(str(project / "src") for project in MISSING)


@pytest.fixture(scope="session")
def third_party_metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the metadata that pip would have written."""
    folder = tmp_path_factory.mktemp("metadata")
    for project in MISSING:
        write_metadata(project, folder)
    return folder


@pytest.fixture(autouse=True)
def _installed(third_party_metadata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these tests alone find the entry points of the packages."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(third_party_metadata)])
