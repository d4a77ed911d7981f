"""Reads the packages of a checkout without importing them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Module", "Package", "packages", "source_folders"]


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file of a package.

    Args:
        name: The dotted name by which it is imported; a package has its own name.
        text: Its source code.
        is_package: Whether it is an `__init__.py`.
    """

    name: str
    text: str
    is_package: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """An import package, for example `aioq_redis`.

    Args:
        name: The name by which it is imported.
        modules: All its modules, those of its subpackages too.
        entries: Modules and folders at its top level, without `__init__.py` and `__main__.py`.
        scripts: The texts of its Lua scripts.
    """

    name: str
    modules: tuple[Module, ...]
    entries: tuple[str, ...]
    scripts: tuple[str, ...] = ()


def source_folders(checkout: Path) -> list[Path]:
    """Return the folders that have to be on the import path to run the packages of a checkout."""
    return sorted({path.parents[1] for path in checkout.glob("packages/*/src/*/__init__.py")})


def packages(checkout: Path) -> list[Package]:
    """Read all packages of a checkout, sorted by name.

    Raises:
        ValueError: The folder has no packages.
    """
    folders = [path.parent for path in checkout.glob("packages/*/src/*/__init__.py")]
    if not folders:
        raise ValueError(f"{checkout} has no packages/*/src/*/__init__.py: it is not a checkout of aioq")
    return [_package(folder) for folder in sorted(folders, key=lambda folder: folder.name)]


def _package(folder: Path) -> Package:
    modules = [_module(path, folder.parent) for path in sorted(folder.rglob("*.py"))]
    entries = sorted(path.stem for path in folder.iterdir() if _is_entry(path))
    scripts = [path.read_text("utf-8") for path in sorted(folder.rglob("*.lua"))]
    return Package(folder.name, tuple(modules), tuple(entries), tuple(scripts))


def _module(path: Path, source: Path) -> Module:
    parts = path.relative_to(source).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return Module(name, path.read_text("utf-8"), is_package)


def _is_entry(path: Path) -> bool:
    if path.is_file():
        return path.suffix == ".py" and not path.stem.startswith("__")
    # A folder that only holds caches is what git leaves behind when its modules move elsewhere.
    return any(each.is_file() and "__pycache__" not in each.parts for each in path.rglob("*"))
