"""What an installer writes down of a package, so far as entry points need it."""

from __future__ import annotations

import tomllib
from pathlib import Path

__all__ = ["write_metadata"]


def write_metadata(project: Path, folder: Path) -> None:
    """Write the metadata of the project in one folder into another, as if it were installed there."""
    facts = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    info = folder / f"{facts['name'].replace('-', '_')}-{facts['version']}.dist-info"
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {facts['name']}\nVersion: {facts['version']}\n")
    lines: list[str] = []
    for group, points in facts["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    info.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n")
