"""Defines what finds the server that has a key: the only one, the primary that sentinels name, or a cluster's node."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from aioq_redis.client.connection import Connection
from aioq_redis.client.pipeline import Command

__all__ = ["Route", "Sender"]


class Sender(Protocol):
    """Sends commands."""

    def alive_until(self, command: Command | None) -> float:
        """Return until when to wait for the reply of a command that is under way, on the clock of the event loop.

        The moment moves on while bytes arrive or leave. It is minus infinity for a command that is not under way.

        Args:
            command: The command; None for any.
        """
        ...

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command.

        The future is the reply. It fails with `ConnectionLost`, `ErrorReply` or an error of `aioq.errors`.
        """
        ...


class Route(Protocol):
    """Finds the server for a key and opens connections to it."""

    @property
    def commands(self) -> Sender:
        """Sends commands on the one connection that their server has for them."""
        ...

    def place(self, key: str | bytes) -> int:
        """Return a number that two keys share only if they are always on the same server."""
        ...

    async def connect(self, place: int) -> Connection:
        """Open a connection to the server of a place.

        Raises:
            ConnectionLost: No server answers, or it is not ready.
            BrokerConfigError: The server rejects the login.
        """
        ...

    def suspect(self) -> None:
        """Find out whether the servers have changed: one of them did not answer as it should."""
        ...

    def away(self, key: str | bytes) -> str:
        """Return why the server of a key cannot be reached while other servers can; empty if that is not known."""
        ...

    def note_away(self, key: str | bytes, reason: str) -> None:
        """Note that a command to the server of a key was given up."""
        ...

    def note_server_away(self, server: str, reason: str) -> None:
        """Note that one of `servers` did not answer while others did."""
        ...

    async def servers(self) -> Mapping[str, Sender]:
        """Return a sender to each server that takes writes, by name.

        Raises:
            ConnectionLost, BrokerConfigError: They cannot be found.
        """
        ...

    def close(self) -> Coroutine[Any, Any, None]:
        """Close the connections for commands."""
        ...
