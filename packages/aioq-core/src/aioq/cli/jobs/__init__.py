"""`aioq jobs`: look at jobs. One file per command."""

from __future__ import annotations

from aioq.cli.arguments import Commands, show_help
from aioq.cli.jobs import show

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("jobs", help="look at jobs", description="Look at jobs.")
    show_help(parser)
    show.register(parser.add_subparsers(title="commands", metavar="COMMAND"))
