"""The folders and the pyproject.toml files of the distributions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from packaging.requirements import Requirement

__all__ = ["CODE", "DISTRIBUTIONS", "ROOT", "metadata", "requirements", "settings"]

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("aioq", "aioq-core", "aioq-cron", "aioq-otel", "aioq-prometheus", "aioq-redis", "aioq-web")
CODE = {
    "aioq-core": "aioq",
    "aioq-cron": "aioq_cron",
    "aioq-otel": "aioq_otel",
    "aioq-prometheus": "aioq_prometheus",
    "aioq-redis": "aioq_redis",
    "aioq-web": "aioq_web",
}
"""Distributions that have modules, and the package each is imported as."""


def settings(folder: Path) -> dict[str, Any]:
    """Return the pyproject.toml of a folder."""
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


def metadata(distribution: str) -> dict[str, Any]:
    """Return the `[project]` table of a distribution."""
    folder = ROOT / "packages" / distribution
    made = ProjectMetadata(str(folder), PluginManager())
    core = made.core
    project: dict[str, Any] = settings(folder)["project"]
    return project | {
        "version": made.version,
        "dependencies": core.dependencies,
        "optional-dependencies": core.optional_dependencies,
    }


def requirements(distribution: str, extra: str = "") -> dict[str, Requirement]:
    """Return the requirements of a distribution or of one of its extras, by name."""
    project = metadata(distribution)
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {made.name: made for made in map(Requirement, lines)}
