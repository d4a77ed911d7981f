"""What commands have in common on the command line."""

from __future__ import annotations

import argparse
from typing import Any, Protocol

from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.logs import DEFAULT_LEVEL, LEVELS
from aioq.cli.output import print_out

__all__ = [
    "Commands",
    "add_app",
    "add_entry",
    "add_json",
    "add_log_level",
    "add_timeout",
    "add_target",
    "timeout_of",
    "show_help",
]


class Commands(Protocol):
    """Where a command adds its parser."""

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        """Return a new parser for the command `name`."""
        ...


def show_help(parser: argparse.ArgumentParser) -> None:
    """Have a command that was given no subcommand explain itself."""

    def run(_: argparse.Namespace) -> int:
        print_out(parser.format_help().rstrip())
        return Exit.OK

    parser.set_defaults(run=run)


def add_app(parser: argparse.ArgumentParser) -> None:
    """Add the path to an app."""
    parser.add_argument(
        "app", metavar="MODULE:APP", help="the app, for example myapp.tasks:app; looked for in the current folder first"
    )


def add_target(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add where a broker is found: the path to an app, or a URL. What is optional may be in the environment."""
    parser.add_argument(
        "target", metavar="MODULE:APP|URL", nargs="?" if optional else None,
        help=f"an app, whose broker it is, or a broker's URL{'; AIOQ_BROKER_URL by default' if optional else ''}",
    )  # fmt: skip


def add_entry(parser: argparse.ArgumentParser) -> None:
    """Add the path to an app, and the name of one of its cron entries."""
    add_app(parser)
    parser.add_argument("name", metavar="NAME", help="the entry, as aioq cron list shows it")


def add_log_level(parser: argparse.ArgumentParser) -> None:
    """Add how much is logged."""
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        type=str.lower,
        metavar="LEVEL",
        help=f"how much is logged to stderr: {', '.join(LEVELS)}; {DEFAULT_LEVEL} by default",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice of output for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON, with moments in ISO 8601")


LONGEST = 3_600.0


def add_timeout(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Add the option, and what it is by default."""
    parser.add_argument(
        "--timeout", type=float, default=seconds, metavar="SECONDS",
        help="time for the broker to answer; %(default)g by default",
    )  # fmt: skip


def timeout_of(arguments: argparse.Namespace, command: str) -> float:
    """Return the seconds that were given.

    Raises:
        CommandError: They are out of range.
    """
    seconds: float = arguments.timeout
    if not 0 < seconds <= LONGEST:
        raise CommandError(f"{command}: --timeout must be above 0 and at most {LONGEST:,.0f}, got {seconds:g}")
    return seconds
