"""Puts tables into docs/benchmarks.md, each between the comments that name it."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["put"]


def put(page: Path, name: str, text: str) -> None:
    """Replace what stands under a name.

    Raises:
        ValueError: The page has no place for it.
    """
    before = page.read_text()
    place = re.compile(rf"(<!-- figures: {re.escape(name)} -->\n).*?(\n<!-- end of figures -->)", re.DOTALL)
    after, replaced = place.subn(lambda found: f"{found[1]}\n{text}\n{found[2]}", before)
    if not replaced:
        raise ValueError(f"{page} has no place for the figures of {name}")
    page.write_text(after)
