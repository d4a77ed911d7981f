"""The options of `aioq worker` for health, and what is checked before the app is imported."""

from __future__ import annotations

import argparse
import socket
from importlib.util import find_spec
from typing import Final

from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.health.sockets import listen

__all__ = ["add_health", "check_health", "open_port"]

MAX_PORT: Final = 65_535


def add_health(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--health-port", type=int, metavar="PORT",
        help="answer /live, /ready and /metrics over HTTP on this port; 0 for any that is free",
    )  # fmt: skip
    parser.add_argument(
        "--health-host", metavar="HOST",
        help="the address of --health-port; all addresses of this machine by default, for probes come from others",
    )  # fmt: skip
    parser.add_argument("--health-socket", metavar="PATH", help=argparse.SUPPRESS)  # what the supervisor asks


def check_health(arguments: argparse.Namespace) -> None:
    """Check the options, without opening the port.

    Raises:
        CommandError: They are wrong, or h11 is not installed.
    """
    port: int | None = arguments.health_port
    if port is None:
        if arguments.health_host is not None:
            raise CommandError("worker: --health-host is for --health-port, which is missing")
        return
    if not 0 <= port <= MAX_PORT:
        raise CommandError(f"worker: --health-port must be between 0 and {MAX_PORT}, got {port}")
    if find_spec("h11") is None:
        raise CommandError('h11 is not installed; run: pip install "aioq-core[health]"', Exit.CONFIG)


def open_port(arguments: argparse.Namespace) -> list[socket.socket]:
    """Return the sockets that listen on the port; none without the option.

    Raises:
        CommandError: The port cannot be used.
    """
    return [] if arguments.health_port is None else listen(arguments.health_host, arguments.health_port)
