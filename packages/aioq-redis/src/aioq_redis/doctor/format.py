"""Ids and sizes as a person reads them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aioq.serialization.failure import one_line

__all__ = ["some", "size"]

SHOWN: Final = 3
LONGEST: Final = 60


def some(names: Collection[bytes]) -> str:
    """Return how many there are and the first of them, fit for one line."""
    first = sorted(names)[:SHOWN]
    shown = ", ".join(one_line(name.decode("utf-8", "backslashreplace"), LONGEST) for name in first)
    return f"{len(names):,}, for example {shown}" if len(names) > SHOWN else shown


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
