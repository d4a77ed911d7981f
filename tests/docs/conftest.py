"""What the tests of the pages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import servers
from tests.conftest import NO_SERVER
from tests.packaging.third_party.metadata import write_metadata

THIRD_PARTY = Path(__file__).parents[1] / "packaging" / "third_party"


@pytest.fixture(scope="session", params=[next(iter(servers.found()), NO_SERVER)])
def redis_kind(request: pytest.FixtureRequest) -> str:
    """One kind of server is enough: that all do the same is tested elsewhere."""
    kind: str = request.param
    if kind == NO_SERVER:
        pytest.skip(servers.HOW_TO)
    return kind


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The example packages as if they were installed, for this process and, by the path returned, for others."""
    projects = [path.parent for path in THIRD_PARTY.glob("*/pyproject.toml")]
    for project in projects:
        write_metadata(project, tmp_path / "metadata")
    path = [str(tmp_path / "metadata"), *(str(project / "src") for project in projects)]
    for entry in path:
        monkeypatch.syspath_prepend(entry)
    return path
