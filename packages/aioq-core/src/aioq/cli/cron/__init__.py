"""`aioq cron`: look at schedules, at what became of their ticks, and steer them. One file per command."""

from __future__ import annotations

from aioq.cli.arguments import Commands, show_help
from aioq.cli.cron import backfill, diff, history, list, pause, preview, run
from aioq.cli.cron.list import entry_table as entry_table

__all__ = ["entry_table", "register"]


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    text = "Look at cron schedules, at what became of their ticks, and steer them."
    parser = commands.add_parser("cron", help="look at cron schedules, and steer them", description=text)
    show_help(parser)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND")
    for verb in (list, preview, run, pause, backfill, history, diff):
        verb.register(verbs)
