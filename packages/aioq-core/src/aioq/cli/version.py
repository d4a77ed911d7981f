"""Which distributions of aioq are installed."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["versions"]

PARTS = ("aioq-core", "aioq-cron", "aioq-redis")


def versions() -> str:
    """Return one line that a bug report can start with."""
    found = {name: installed for name in ("aioq", *PARTS) if (installed := _installed(name))}
    parts = [f"{name} {found[name]}" for name in PARTS if name in found]
    parts.append(f"Python {platform.python_version()}")
    return f"aioq {next(iter(found.values()), 'unknown')} ({', '.join(parts)})"


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
