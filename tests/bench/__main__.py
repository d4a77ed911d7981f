"""The benchmarks: `python -m tests.bench [PART]... [--quick]`.

Prints a table for each part and the time that it took, and writes all figures as JSON while it goes on.
`python -m tests.bench compare --base DIR` compares this checkout with another one instead.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench.compare import compare
from tests.bench.environments import ALL, make
from tests.bench.page import put
from tests.bench.parts import PARTS, Part, Run
from tests.bench.progress import span
from tests.bench.results import Results
from tests.bench.server import server_name
from tests.bench.throughput.contestants import CONTESTANTS
from tests.bench.throughput.measures import MEASURES
from tests.bench.throughput.part import Throughput
from tests.bench.throughput.settings import settings
from tests.bench.throughput.sizes import FULL, QUICK
from tests.chaos.report import machine, table

__all__: list[str] = []


def main(argv: Sequence[str]) -> int:
    """Measure the parts that are asked for, one after the other; return 1 when one of them could not be measured."""
    # Servers and libraries under way are ended by what unwinds, as they are by Ctrl-C.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if argv[:1] == ["compare"]:
        return compare(argv[1:])
    chosen = _arguments(argv)
    try:
        results = Results(chosen.json, quick=chosen.quick, resume=chosen.resume)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{_machine()}, load {os.getloadavg()[0]:.2f}", flush=True)
    _environments(chosen.peers)
    asked = _asked(chosen)
    wanted = [PARTS[name] for name in chosen.parts or PARTS]
    failed: list[str] = []
    for number, part in enumerate(wanted):
        to_come = span(sum(one.planned(asked) for one in wanted[number:]))
        print(f"\n{part.name}, part {number + 1} of {len(wanted)}; {to_come} planned for what is left", flush=True)
        try:
            text = results.table(part.name) or _measured(part, asked, chosen, results)
        except (OSError, RuntimeError) as error:
            failed.append(part.name)
            text = f"Not measured: {error}"
        print(f"\n## {part.name}, {results.seconds.get(part.name, 0):.0f} s\n\n{text}", flush=True)
        if chosen.page:
            put(chosen.page, part.name, text)
    _finish(chosen, asked, results)
    return bool(failed)


def _measured(part: Part, asked: Throughput, chosen: argparse.Namespace, results: Results) -> str:
    """Measure a part, write its figures down and return its table."""
    run = Run(
        quick=chosen.quick,
        throughput=asked,
        folder=chosen.peers,
        keep=partial(results.keep, part.name),
        before=results.figures(part.name),
    )
    begin = time.monotonic()
    text, figures = part.run(run)
    results.done(part.name, text, figures, time.monotonic() - begin)
    return text


def _finish(chosen: argparse.Namespace, asked: Throughput, results: Results) -> None:
    """Say how long it took, and put into the page what it says of all parts."""
    print(f"\n{_times(results.seconds, asked)}\n\nAll figures are in {chosen.json}.")
    if chosen.page:
        put(chosen.page, "settings", settings())
        put(chosen.page, "machine", f"{_machine()}. By `{chosen.command}`.")


def _asked(chosen: argparse.Namespace) -> Throughput:
    size = QUICK if chosen.quick else FULL
    size = replace(size, rounds=chosen.rounds or size.rounds)
    return Throughput(size, chosen.peers, chosen.library or (), chosen.measure or ())


def _environments(folder: Path) -> None:
    """Make those of the others that are missing: that takes a minute or two, and is not counted as a part."""
    for environment in ALL:
        if not environment.made(folder):
            print(f"installing {environment.name} {environment.version}", flush=True)
            try:
                make(environment, folder)
            except (OSError, RuntimeError) as error:
                print(error, flush=True)


def _machine() -> str:
    told = machine()
    return f"{told['cpus']} CPUs, {told['system']}, Python {told['python']}, {server_name()}"


def _times(seconds: Mapping[str, float], asked: Throughput) -> str:
    rows = [("all", sum(seconds.values()), sum(PARTS[name].planned(asked) for name in seconds))]
    rows = [*((name, took, PARTS[name].planned(asked)) for name, took in seconds.items()), *rows]
    return table([{"part": name, "seconds": round(took), "planned": round(planned)} for name, took, planned in rows])


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="all of it within two minutes, and less to be trusted")
    parser.add_argument("--resume", action="store_true", help="go on with the run that was broken off, see --json")
    parser.add_argument("--rounds", type=int, help=f"of throughput; {FULL.rounds}, and {QUICK.rounds} if quick")
    parser.add_argument("--library", action="append", choices=[one.name for one in CONTESTANTS], help="in throughput")
    parser.add_argument("--measure", action="append", choices=[one.name for one in MEASURES], help="of throughput")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go; %(default)s")
    parser.add_argument(
        "--peers", type=Path, default=Path(".nox/peers"), help="where the others' environments are kept; %(default)s"
    )
    parser.add_argument("--page", type=Path, help="put the tables into this page, docs/benchmarks.md")
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    chosen.peers = chosen.peers.resolve()
    words = [
        *chosen.parts,
        *(["--quick"] if chosen.quick else []),
        *([f"--rounds {chosen.rounds}"] * bool(chosen.rounds)),
    ]
    chosen.command = " ".join(["python -m nox -s bench", *(["--"] if words else []), *words])
    return chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
