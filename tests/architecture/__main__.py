"""The architecture in figures: `python -m tests.architecture [--source DIR] [--base DIR]`.

Counts files, functions and imports, and records call paths against a real server. Both checkouts are counted by this
script: nothing of them is imported but their public API.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.architecture.report import Row, compared, import_rows, size_rows, walk_rows
from tests.architecture.source import packages
from tests.architecture.walks import Walk, walks
from tests.chaos.report import table

__all__: list[str] = []

ROOT = Path(__file__).parents[2]


def main(argv: Sequence[str]) -> int:
    """Print the tables; return 1 if a checkout cannot be measured."""
    chosen = _arguments(argv)
    try:
        recorded = [] if chosen.no_walks else [*walks(chosen.source)]
        sections = _sections(chosen.source, recorded)
        if chosen.base:
            earlier = _sections(chosen.base, [] if chosen.no_walks else [*walks(chosen.base)])
            sections = {title: compared(earlier[title], rows) for title, rows in sections.items()}
    except (ValueError, RuntimeError) as error:
        sys.exit(str(error))
    if chosen.json:
        print(json.dumps({**sections, "paths": _paths(recorded)}, indent=2))
        return 0
    print("\n\n".join(f"## {title}\n\n{table(rows)}" for title, rows in sections.items() if rows))
    for name, path in _paths(recorded).items() if chosen.paths else ():
        print("\n".join(["", f"## {name}", "", *path]))
    return 0


def _sections(checkout: Path, recorded: Sequence[Walk]) -> Mapping[str, list[Row]]:
    found = packages(checkout)
    return {"Sizes": size_rows(found), "Imports": import_rows(found), "Call paths": walk_rows(recorded)}


def _paths(recorded: Sequence[Walk]) -> dict[str, list[str]]:
    return {walk.name: [f"{file}:{function}" for file, function in walk.steps] for walk in recorded}


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.architecture", description=__doc__)
    parser.add_argument("--source", type=Path, default=ROOT, help="the checkout to measure; this one by default")
    parser.add_argument("--base", type=Path, help="a checkout whose figures are shown beside those of --source")
    parser.add_argument("--paths", action="store_true", help="print every step of the call paths, too")
    parser.add_argument("--no-walks", action="store_true", help="record no call paths: they take half a minute")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    chosen = parser.parse_args(argv)
    chosen.source = chosen.source.resolve()
    chosen.base = chosen.base and chosen.base.resolve()
    return chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
