"""Arguments and options that several commands have."""

from __future__ import annotations

import argparse
from typing import Any, Final, Protocol

from aioq.cli.exit_codes import CommandError
from aioq.cli.logs import DEFAULT_LEVEL, LEVELS

__all__ = [
    "Commands",
    "add_app",
    "add_count",
    "add_entry",
    "add_json",
    "add_log_level",
    "add_target",
    "add_timeout",
    "count_of",
    "timeout_of",
]

MAX_TIMEOUT: Final = 3_600.0
"""Seconds."""


class Commands(Protocol):
    """The subparsers to which a command's `register` adds its parser."""

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        """Return a new parser for the command `name`."""
        ...


def add_app(parser: argparse.ArgumentParser) -> None:
    """Add the path to an app."""
    parser.add_argument(
        "app", metavar="MODULE:APP", help="the app, for example myapp.tasks:app; searched in the current folder first"
    )


def add_target(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add a broker: the path to an app that uses it, or its URL. If it is optional, the environment has the default."""
    parser.add_argument(
        "target", metavar="MODULE:APP|URL", nargs="?" if optional else None,
        help=f"an app, to use its broker, or a broker's URL{'; AIOQ_BROKER_URL by default' if optional else ''}",
    )  # fmt: skip
    parser.add_argument(
        "--namespace", metavar="NAME", help="the namespace of a broker given by its URL; the broker's default otherwise"
    )


def add_entry(parser: argparse.ArgumentParser) -> None:
    """Add the path to an app, and the name of one of its cron entries."""
    add_app(parser)
    parser.add_argument("name", metavar="ENTRY", help="the cron entry, named as in aioq cron list")


def add_log_level(parser: argparse.ArgumentParser) -> None:
    """Add the log level."""
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        # Before the choices are checked, so that INFO is accepted like info.
        type=str.lower,
        metavar="LEVEL",
        help=f"minimum level to log to stderr: {', '.join(LEVELS)}; {DEFAULT_LEVEL} by default",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice of output for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON, with times in ISO 8601")


def add_count(parser: argparse.ArgumentParser, what: str, default: int) -> None:
    """Add the number of items to show."""
    parser.add_argument(
        "-n", dest="count", type=int, default=default, metavar="COUNT", help=f"{what} to show; %(default)s by default"
    )


def count_of(arguments: argparse.Namespace, command: str, maximum: int) -> int:
    """Return the number of items to show.

    Raises:
        CommandError: It is out of range.
    """
    count: int = arguments.count
    if not 1 <= count <= maximum:
        raise CommandError(f"{command}: -n must be between 1 and {maximum:,}, got {count}")
    return count


def add_timeout(parser: argparse.ArgumentParser, default: float) -> None:
    """Add the seconds to wait for the broker."""
    parser.add_argument(
        "--timeout", type=float, default=default, metavar="SECONDS",
        help="seconds to wait for the broker; %(default)g by default",
    )  # fmt: skip


def timeout_of(arguments: argparse.Namespace, command: str) -> float:
    """Return the seconds to wait for the broker.

    Raises:
        CommandError: They are out of range.
    """
    seconds: float = arguments.timeout
    # Written so that NaN, which compares false with everything, is rejected.
    if not 0 < seconds <= MAX_TIMEOUT:
        raise CommandError(f"{command}: --timeout must be above 0 and at most {MAX_TIMEOUT:,.0f}, got {seconds:g}")
    return seconds
