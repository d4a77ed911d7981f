"""Finds the commands that other installed packages add to `aioq`, by their entry points."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Final

from aioq.cli.arguments import Commands
from aioq.discovery import load, provider_of
from aioq.errors import DiscoveryError

__all__ = ["COMMAND_GROUP", "extension_names", "list_extension", "register_extension"]

COMMAND_GROUP: Final = "aioq.commands"


def extension_names() -> list[str]:
    """Return the names of the commands that installed packages provide, sorted."""
    return sorted({point.name for point in entry_points(group=COMMAND_GROUP)})


def register_extension(name: str, commands: Commands) -> None:
    """Add the command of another package to the parser.

    Raises:
        DiscoveryError: It cannot be loaded, or several packages have it.
    """
    _function_of(name)(_OneCommand(name, commands))


def list_extension(name: str, commands: Commands) -> None:
    """Add the command of another package to a parser that only shows its help: a broken one with the reason."""
    try:
        register_extension(name, commands)
    except DiscoveryError as error:
        commands.add_parser(name, help=f"cannot be used: {error}".replace("%", "%%"))


def _function_of(name: str) -> Callable[[Commands], object]:
    """Return the function that adds a command.

    Raises:
        DiscoveryError: No package has one, or several do, or it is no function.
    """
    point = provider_of(COMMAND_GROUP, name, f"the command {name}")
    register: object = load(point) if point else None
    if not callable(register):
        raise DiscoveryError(f"{point.value if point else 'nothing'} is no function that adds the command {name}")
    return register


class _OneCommand:
    """Subparsers to which only the command `name` can be added: a package must not replace the commands of others."""

    def __init__(self, name: str, commands: Commands) -> None:
        self._name = name
        self._commands = commands

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        if name != self._name:
            raise DiscoveryError(f"the entry point {self._name} in the group {COMMAND_GROUP} adds the command {name}")
        return self._commands.add_parser(name, **settings)
