"""The chaos suite at its full size: `python -m tests.chaos [f12] [stopped] [redeploy] [--seed N] [--quick]`.

Prints tables of figures, and writes them as JSON. Exits with 1 when a figure is not what it must be.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.chaos import f12, redeploy, stopped
from tests.chaos.report import table, write_json

__all__: list[str] = []


class Measured(Protocol):
    """What came of one case."""

    def faults(self) -> list[str]:
        """Return what is not as it must be, in words."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return the figures."""
        ...


class Part(NamedTuple):
    """What came of one part of the suite."""

    facts: list[dict[str, Any]]
    faults: list[str]


def _f12(seed: int, quick: bool, folder: Path) -> Part:
    plan = f12.SMALL if quick else f12.FULL
    with ThreadPoolExecutor(len(f12.VARIANTS)) as pool:
        # Idle for most of the time, and each with a server of its own, so they may run side by side.
        results = list(pool.map(lambda variant: f12.run(variant, plan, seed, _room(folder, variant)), f12.VARIANTS))
    print(f"\n## F12: {plan.workers} workers, {plan.seconds:g} s, an entry every {plan.every} s\n")
    print(table([row for result in results for row in result.rows()]))
    return _told(results)


def _stopped(seed: int, quick: bool, folder: Path) -> Part:
    plan = stopped.SMALL if quick else stopped.FULL
    results = stopped.run(plan, _room(folder, "stopped"))
    print(
        f"\n## A worker stopped for {results[0].stopped:.1f} s, an entry every {plan.every} s, grace {plan.grace:g} s\n"
    )
    print(table([result.row() for result in results]))
    return _told(results)


def _redeploy(seed: int, quick: bool, folder: Path) -> Part:
    plan = redeploy.SMALL if quick else redeploy.FULL
    deploy, results = redeploy.run(plan, _room(folder, "redeploy"))
    print(f"\n## A rolling deploy over {plan.workers} workers\n\nThe ledger before:\n")
    print(table(redeploy.seen(deploy.before)), "\n\nThe ledger after:\n", table(redeploy.seen(deploy.after)), sep="\n")
    print("\nWhat fired:\n", table([result.row() for result in results]), sep="\n")
    return _told(results)


def _told(results: Sequence[Measured]) -> Part:
    """Name what is not as it must be, and return the figures."""
    faults = [fault for result in results for fault in result.faults()]
    for fault in faults:
        print(f"\nNOT REACHED: {fault}")
    return Part([result.facts() for result in results], faults)


PARTS: dict[str, Callable[[int, bool, Path], Part]] = {"f12": _f12, "stopped": _stopped, "redeploy": _redeploy}


def main(argv: Sequence[str]) -> int:
    """Run the parts that are asked for, one after the other; return 1 when a figure is not what it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="repeat the blows of an earlier run")
    parser.add_argument("--quick", action="store_true", help="as small as in the test suite")
    parser.add_argument("--json", type=Path, default=Path("build/chaos.json"), help="where the figures go; %(default)s")
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    facts: dict[str, Any] = {"seed": chosen.seed}
    print(f"seed {chosen.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="aioq-chaos-"))
    print(f"logs of the workers are in {folder}", flush=True)
    faults: list[str] = []
    for name in chosen.parts or PARTS:
        part = PARTS[name](chosen.seed, chosen.quick, folder)
        facts[name] = part.facts
        faults += part.faults
        write_json(chosen.json, facts)
    return bool(faults)


def _room(folder: Path, name: str) -> Path:
    room = folder / name
    room.mkdir()
    return room


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
