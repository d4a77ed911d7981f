"""`aioq cron next`: when an expression fires."""

from __future__ import annotations

import argparse
from itertools import islice
from zoneinfo import ZoneInfo

from aioq.cli.arguments import Commands
from aioq.cli.cron.expression import add_expression, check_count, parsed, run_table
from aioq.cli.exits import Exit
from aioq.cli.moments import now
from aioq.cli.say import say, say_json
from aioq.cron import upcoming

__all__ = ["next_runs", "register"]


def register(verbs: Commands) -> None:
    """Add the command to the parser."""
    parser = verbs.add_parser(
        "next",
        help="show when an expression fires next",
        description="Show when a cron expression fires next, in its time zone and in UTC.",
        epilog='example: aioq cron next "0 9 * * 1-5" -n 3 --tz Europe/Berlin',
        allow_abbrev=False,
    )
    add_expression(parser, count=5)
    parser.set_defaults(run=next_runs)


def next_runs(arguments: argparse.Namespace) -> int:
    """Show the next runs of an expression."""
    count = check_count("cron next", arguments.count)
    schedule = parsed(arguments.expression, arguments.tz)
    zone = ZoneInfo(arguments.tz or "UTC")
    runs = list(islice(upcoming(schedule, now()), count))
    if arguments.json:
        say_json([{"at": run.astimezone(zone).isoformat(), "utc": run.isoformat()} for run in runs])
    else:
        say(run_table(runs, zone))
    return Exit.OK
