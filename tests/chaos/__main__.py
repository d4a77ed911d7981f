"""The chaos suite at its full size: `python -m tests.chaos [F1 F14 ...] [--seed N] [--quick]`.

Prints tables of figures as it goes, and one of all at the end, which it writes as JSON too.
Exits with 1 when a figure is not what it must be; all parts that were asked for run all the same.
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

from tests.chaos.parts import PARTS, Part
from tests.chaos.report import table, write_json

__all__: list[str] = []


def main(argv: Sequence[str]) -> int:
    """Run the parts that are asked for, one after the other; return 1 when a figure is not what it must be."""
    chosen = _arguments(argv)
    logging.getLogger("aioq").addHandler(logging.NullHandler())  # of our own connections, which are cut as well
    print(f"seed {chosen.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="aioq-chaos-"))
    print(f"logs of the workers are in {folder}", flush=True)
    facts: dict[str, Any] = {"seed": chosen.seed}
    done: list[Part] = []
    for name in chosen.parts or PARTS:
        done.append(_run(name, chosen.seed, chosen.quick, folder))
        facts[name] = {"facts": done[-1].facts, "missed": done[-1].faults}
        write_json(chosen.json, facts)
    _conclude(done)
    return any(part.faults for part in done)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="repeat the blows of an earlier run")
    parser.add_argument("--quick", action="store_true", help="as small as in the test suite")
    parser.add_argument("--json", type=Path, default=Path("build/chaos.json"), help="where the figures go; %(default)s")
    chosen = parser.parse_args(argv)
    known = {name.lower(): name for name in PARTS}
    if unknown := {part for part in chosen.parts if part.lower() not in known}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    chosen.parts = [known[part.lower()] for part in chosen.parts]
    return chosen


def _run(name: str, seed: int, quick: bool, folder: Path) -> Part:
    """Run a part and say what was not reached. One that breaks down has not reached anything."""
    room = folder / name
    room.mkdir()
    print(f"\n## {name}\n", flush=True)
    try:
        part = PARTS[name](seed, quick, room)
    except Exception as error:
        traceback.print_exc()
        part = Part([], [f"{name}: it broke down: {error!r}"], [{"fault": name, "bars": "BROKE DOWN"}])
    for fault in part.faults:
        print(f"\nNOT REACHED: {fault}", flush=True)
    return part


def _conclude(done: Sequence[Part]) -> None:
    print("\n## All\n")
    print(table([row for part in done for row in part.rows], COLUMNS))
    missed = [fault for part in done for fault in part.faults]
    print(f"\n{len(missed)} bars were not reached" if missed else "\nEvery bar was reached")
    for fault in missed:
        print(f"- {fault}")


COLUMNS = ("fault", "jobs", "lost", "ran twice", "late s", "worker exits", "seconds", "bars")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
