"""The code map of docs/architecture.md names folders and files that exist, and leaves out no part of a package."""

from __future__ import annotations

import re

import pytest

from tests.docs.fences import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCES = {
    "aioq": "aioq-core",
    "aioq_cron": "aioq-cron",
    "aioq_otel": "aioq-otel",
    "aioq_prometheus": "aioq-prometheus",
    "aioq_redis": "aioq-redis",
    "aioq_web": "aioq-web",
}
PATHS = sorted(
    set(
        re.findall(
            r"`((?:aioq|aioq_cron|aioq_otel|aioq_prometheus|aioq_redis|aioq_web)/[\w/]+(?:\.py)?|lua/[\w/]+\.lua)`",
            PAGE,
        )
    )
)


@pytest.mark.parametrize("path", PATHS)
def test_code_map_path_exists(path: str) -> None:
    """Each file or folder that the page names is there."""
    package = "aioq_redis" if path.startswith("lua/") else path.partition("/")[0]
    source = ROOT / "packages" / SOURCES[package] / "src"
    assert (source / ("aioq_redis" if path.startswith("lua/") else "") / path).exists()


@pytest.mark.parametrize("package", ["aioq", "aioq_cron", "aioq_redis"])
def test_code_map_names_every_part(package: str) -> None:
    """Each folder and module at the top of a package is in its table."""
    folder = ROOT / "packages" / SOURCES[package] / "src" / package
    (table,) = re.findall(rf"^### {package}\n(.*?)^###", PAGE, re.MULTILINE | re.DOTALL)
    parts = [
        f"{path.name}/" if path.is_dir() else path.name
        for path in folder.iterdir()
        if path.name[0] not in "_." and (path.is_dir() or path.suffix == ".py")
    ]
    assert [part for part in parts if f"`{part}`" not in table] == []
