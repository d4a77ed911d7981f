"""The server that everything is measured on, the same for all parts."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.servers import HOW_TO, RedisServer, found

__all__ = ["kind_of", "new_server", "server_name"]

OLDEST = 7
"""Of Redis: peers need functions, which came with it."""


def new_server(options: Sequence[str] = (), *, tcp: bool = False) -> RedisServer:
    """Return a server that is not started yet.

    Raises:
        RuntimeError: None is installed; says how to get one.
    """
    return RedisServer(_chosen()[0], options, tcp=tcp)


def server_name() -> str:
    """Return which it is, with its release."""
    return _chosen()[1]


def kind_of(told: str) -> tuple[str, int]:
    """Return the name and release of a server, and the first number of that, from what it says of its version.

    Raises:
        ValueError: It says something else.
    """
    if not (said := re.search(r"(Redis|Valkey) server v=(\d+)([.\d]*)", told)):
        raise ValueError(f"this is not what a server says of its version: {told[:100]}")
    return f"{said[1]} {said[2]}{said[3]}", int(said[2])


@cache
def _chosen() -> tuple[Path, str]:
    """Return a genuine Redis if there is one that is new enough, or else a Valkey."""
    for kind in ("redis", "valkey"):
        if program := found().get(kind):
            told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            name, release = kind_of(told)
            if release >= OLDEST:
                return program, name
    raise RuntimeError(HOW_TO)
