"""`--timeout` of the commands that put a question to a broker: how long the answer may take."""

from __future__ import annotations

import argparse

from aioq.cli.exits import CommandError

__all__ = ["add_patience", "patience_of"]

LONGEST = 3_600.0


def add_patience(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Add the option, and what it is by default."""
    parser.add_argument(
        "--timeout", type=float, default=seconds, metavar="SECONDS",
        help="time for the broker to answer; %(default)g by default",
    )  # fmt: skip


def patience_of(arguments: argparse.Namespace, command: str) -> float:
    """Return the seconds that were given.

    Raises:
        CommandError: They are out of range.
    """
    seconds: float = arguments.timeout
    if not 0 < seconds <= LONGEST:
        raise CommandError(f"{command}: --timeout must be above 0 and at most {LONGEST:,.0f}, got {seconds:g}")
    return seconds
