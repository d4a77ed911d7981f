"""Runs the shipped suites against deliberately wrong variants of the SQLite broker: `python -m tests.mutants`.

Exits with 1 if a variant passes, or if the broker as it is does not.
"""

from __future__ import annotations

import argparse
import sys

from tests.mutants.judging import Verdict, judge
from tests.mutants.mutants import MUTANTS


def main() -> int:
    """Run the mutants, print each verdict as it comes, and then a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of the mutants to run; all without one")
    parser.add_argument("--processes", type=int, default=2, help="mutants that run at a time (default: 2)")
    parser.add_argument("--only", default="not trio", help="tests to run, as for pytest -k (default: those on asyncio)")
    parser.add_argument("--output", action="store_true", help="print what pytest says of mutants that pass")
    arguments = parser.parse_args()
    chosen = [each for each in MUTANTS if not arguments.names or any(part in each.name for part in arguments.names)]
    verdicts: list[Verdict] = []
    for verdict in judge([None, *chosen], processes=arguments.processes, only=arguments.only):
        verdicts.append(verdict)
        print(f"{len(verdicts):3}/{len(chosen) + 1} {verdict.seconds:5.1f} s  {_result(verdict)}", flush=True)
        if arguments.output and verdict.is_wrong:
            print(verdict.output)
    print(table(verdicts))
    wrong = [verdict for verdict in verdicts if verdict.is_wrong]
    print(f"{len(chosen)} mutants, {len(chosen) - sum(bool(verdict.mutant) for verdict in wrong)} caught")
    return 1 if wrong else 0


def table(verdicts: list[Verdict]) -> str:
    """Return the verdicts as a table in Markdown, by the names of the mutants."""
    rows = sorted(
        f"| {verdict.mutant.name} | `{verdict.caught_by}` | {verdict.seconds:.1f} |"
        for verdict in verdicts
        if verdict.mutant
    )
    return "\n".join(["| mutant | caught by | seconds |", "| --- | --- | --- |", *rows])


def _result(verdict: Verdict) -> str:
    if verdict.mutant is None:
        return f"the broker as it is FAILS {verdict.caught_by}" if verdict.caught_by else "the broker as it is passes"
    return f"{verdict.mutant.name}: {f'caught by {verdict.caught_by}' if verdict.caught_by else 'SURVIVES'}"


if __name__ == "__main__":
    sys.exit(main())
