"""Makes checkouts with a package of a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["make_checkout"]


def make_checkout(folder: Path, modules: Mapping[str, str]) -> Path:
    """Write a package `ours` of modules that are given by their dotted names in it; return the package's folder."""
    package = folder / "packages" / "dist" / "src" / "ours"
    for name, text in {"__init__": "", **modules}.items():
        path = package / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package
