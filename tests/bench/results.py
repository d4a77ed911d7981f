"""The file that all figures of a run are written to while it goes on, so that one that is broken off is not lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos.report import write_json

__all__ = ["Results"]


class Results:
    """The figures, tables and times of parts.

    Args:
        path: Of the file.
        quick: Whether it is that of a quick run.
        resume: Whether to go on with what the file holds.

    Raises:
        ValueError: It is to go on, and the file has no run of that size.
    """

    def __init__(self, path: Path, *, quick: bool, resume: bool = False) -> None:
        self._path = path
        self._facts: dict[str, Any] = {"quick": quick, "parts": {}, "tables": {}, "seconds": {}}
        if resume:
            self._facts = json.loads(path.read_text()) if path.exists() else {}
            if self._facts.get("quick") is not quick:
                size = "quick" if quick else "full"
                raise ValueError(f"{path} has no {size} run to go on with; leave --resume out to begin one")

    @property
    def seconds(self) -> Mapping[str, float]:
        """Return what each part took that is done."""
        seconds: dict[str, float] = self._facts["seconds"]
        return seconds

    def table(self, part: str) -> str | None:
        """Return the table of a part that is done."""
        text: str | None = self._facts["tables"].get(part)
        return text

    def figures(self, part: str) -> Mapping[str, Any]:
        """Return what there is of a part, which may not be done."""
        figures: dict[str, Any] = self._facts["parts"].get(part, {})
        return figures

    def keep(self, part: str, figures: Any) -> None:
        """Write down the figures so far of a part."""
        self._facts["parts"][part] = figures
        # In one step, because the run may be interrupted at this moment.
        fresh = self._path.with_suffix(".new")
        write_json(fresh, self._facts)
        fresh.replace(self._path)

    def done(self, part: str, text: str, figures: Any, seconds: float) -> None:
        """Write down that a part is done."""
        self._facts["tables"][part], self._facts["seconds"][part] = text, seconds
        self.keep(part, figures)
