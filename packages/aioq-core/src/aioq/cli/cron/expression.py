"""An expression on the command line, and runs of it as lines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from aioq.cli.arguments import add_json
from aioq.cli.exits import CommandError
from aioq.cli.moments import shown_alike
from aioq.cli.table import Column, table
from aioq.discovery import scheduler_named
from aioq.protocols import Schedule

__all__ = ["MOST", "add_expression", "check_count", "parsed", "run_table", "text_of"]

MOST = 10_000
"""Runs that are shown at most."""


def add_expression(parser: argparse.ArgumentParser, count: int) -> None:
    """Add an expression, its zone, and of how many runs to speak."""
    parser.add_argument("expression", nargs="+", metavar="EXPR", help='five fields in quotes, as in "*/5 * * * *"')
    parser.add_argument(
        "-n", dest="count", type=int, default=count, metavar="COUNT", help="runs to show; %(default)s by default"
    )
    parser.add_argument("--tz", metavar="ZONE", help="the zone of the expression; UTC by default")
    add_json(parser)


def check_count(command: str, count: int) -> int:
    """Return how many are to be shown.

    Raises:
        CommandError: It is none, or too many.
    """
    if not 1 <= count <= MOST:
        raise CommandError(f"{command}: -n must be between 1 and {MOST:,}, got {count}")
    return count


def text_of(words: Sequence[str]) -> str:
    """Return an expression, which may have come as five words."""
    return " ".join(words)


def parsed(words: Sequence[str], tz: str | None) -> Schedule:
    """Return the schedule of an expression.

    Raises:
        CommandError: It is none; says why.
    """
    try:
        return scheduler_named("cron").parse(text_of(words), tz=tz)
    except (TypeError, ValueError) as error:
        hint = "; put the expression in quotes, or the shell replaces its stars" if len(words) > 1 else ""
        raise CommandError(f"{error}{hint}") from error


def run_table(runs: Sequence[datetime], zone: ZoneInfo) -> str:
    """Return runs below each other, in their zone and in UTC."""
    utc = shown_alike(runs, weekday=True)
    if zone.key == "UTC":
        return table((Column("UTC"),), zip(utc, strict=True))
    local = shown_alike([run.astimezone(zone) for run in runs], weekday=True)
    return table((Column(zone.key), Column("UTC")), zip(local, utc, strict=True))
