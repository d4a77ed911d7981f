"""The chaos suite at its full size: `python -m tests.chaos [F1 kill_workers ...] [--seed N] [--quick]`.

It prints tables of figures for each part and one table of all parts, and writes all figures as JSON.
It runs all chosen parts, and exits with 1 if a bar was not reached.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.parts import PARTS, Part, PartResult, find_part
from tests.chaos.report import table, write_json

__all__: list[str] = []


def main(argv: Sequence[str]) -> int:
    """Run the chosen parts one after the other; return 1 if a bar was not reached."""
    chosen = _arguments(argv)
    # The faults cut the connections of this process too; its log lines would hide the tables.
    logging.getLogger("aioq").addHandler(logging.NullHandler())
    print(f"seed {chosen.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="aioq-chaos-"))
    print(f"logs of the workers are in {folder}", flush=True)
    facts: dict[str, Any] = {"seed": chosen.seed}
    done: list[PartResult] = []
    for part in chosen.parts or PARTS:
        result = _run(part, chosen.seed, chosen.quick, folder)
        done.append(result)
        facts[part.title] = {"facts": result.facts, "missed": result.missed}
        write_json(chosen.json, facts)
    _summarize(done)
    return any(result.missed for result in done)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    titles = ", ".join(part.title for part in PARTS)
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"number or name of a part, all by default: {titles}")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="repeat the run with this seed")
    parser.add_argument("--quick", action="store_true", help="run the small size, as the test suite does")
    parser.add_argument("--json", type=Path, default=Path("build/chaos.json"), help="file for the figures; %(default)s")
    chosen = parser.parse_args(argv)
    found = {text: find_part(text) for text in chosen.parts}
    if unknown := [text for text, part in found.items() if part is None]:
        parser.error(f"there is no part {', '.join(unknown)}; the parts are: {titles}")
    chosen.parts = list(found.values())
    return chosen


def _run(part: Part, seed: int, quick: bool, folder: Path) -> PartResult:
    """Run a part and print the bars that it did not reach. A part that raises has not reached its bars."""
    logs = folder / part.name
    logs.mkdir()
    print(f"\n## {part.title}\n", flush=True)
    try:
        result = part.run(seed, quick, logs)
    except Exception as error:
        traceback.print_exc()
        result = PartResult([], [f"{part.title}: raised {error!r}"], [{"fault": part.title, "bars": "RAISED"}])
    for sentence in result.missed:
        print(f"\nNOT REACHED: {sentence}", flush=True)
    return result


def _summarize(done: Sequence[PartResult]) -> None:
    print("\n## All parts\n")
    print(table([row for result in done for row in result.rows], COLUMNS))
    missed = [sentence for result in done for sentence in result.missed]
    print(f"\n{len(missed)} bars were not reached" if missed else "\nEvery bar was reached")
    for sentence in missed:
        print(f"- {sentence}")


COLUMNS = ("fault", "jobs", "lost", "ran twice", "late s", "worker exits", "seconds", "bars")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
