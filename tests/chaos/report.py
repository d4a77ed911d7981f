"""Tables in Markdown, and figures as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["machine", "table", "write_json"]


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> str:
    """Return rows as a table in Markdown with numbers aligned right; the first row names the columns by default."""
    heads = list(columns or rows[0])
    cells = [[_text(row.get(head, "")) for head in heads] for row in rows]
    right = [any(isinstance(row.get(head), int | float) for row in rows) for head in heads]
    widths = [max(len(head), *(len(line[n]) for line in cells)) for n, head in enumerate(heads)]
    ruler = ["-" * (width - 1) + (":" if to_right else "-") for width, to_right in zip(widths, right, strict=True)]
    return "\n".join(_line(line, widths, right) for line in [heads, ruler, *cells])


def machine() -> dict[str, object]:
    """Return the properties of this machine, without its name."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write figures as JSON, with the properties of this machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "machine": machine(), "argv": sys.argv[1:]}, indent=2) + "\n")


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _text(value: object) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
