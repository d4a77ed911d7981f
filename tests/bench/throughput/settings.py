"""The table of the measured libraries: their releases, what is installed beside them, and their settings."""

from __future__ import annotations

from importlib.metadata import version

from tests.bench.throughput.contestants import CONTESTANTS, Contestant
from tests.chaos.report import table

__all__ = ["settings"]

OURS_BESIDE = ("hiredis", "uvloop")
"""What ours is installed with, as the environment of the benchmarks has it."""


def settings() -> str:
    """Return it in Markdown."""
    return table([_row(one) for one in CONTESTANTS])


def _row(one: Contestant) -> dict[str, object]:
    beside = (
        one.environment.requirements[1:] if one.environment else [f"{name} {version(name)}" for name in OURS_BESIDE]
    )
    return {
        "library": one.name,
        "release": one.release,
        "installed with": ", ".join(name.replace("==", " ") for name in beside),
        "jobs at a time": str(one.concurrency),
        "settings": one.settings,
        "has no": ", ".join(one.lacks),
    }
