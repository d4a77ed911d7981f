"""The way to the server that has a key: the only one, the primary of several, or a node of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aioq_redis.client.command import Command
from aioq_redis.client.connection import Link
from aioq_redis.client.pipeline import Pipeline

__all__ = ["Route", "Sink", "Straight"]


class Sink(Protocol):
    """Where commands are left."""

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command; the future is its reply, or fails with `ConnectionLost`, `ErrorReply` or an error of aioq."""
        ...


class Route(Protocol):
    """Finds the server for a key, and opens connections to it."""

    @property
    def commands(self) -> Sink:
        """Where commands are left that go out on the one connection to their server."""
        ...

    def place(self, key: str | bytes) -> int:
        """Return a number that keys share only if one server has them, now and always."""
        ...

    async def dial(self, place: int) -> Link:
        """Open a connection to the server that has a place.

        Raises:
            ConnectionLost: Nobody answers, or the server is not ready.
            BrokerConfigError: It does not let us in.
        """
        ...

    def doubt(self) -> None:
        """Say that a server did not do what it should, and may no longer be the one to ask."""
        ...

    async def everywhere(self, parts: Sequence[object]) -> dict[str, Any]:
        """Send a plain command to each server that takes writes, and return all replies by where they are from.

        Raises:
            ConnectionLost, ErrorReply, BrokerConfigError: One of them did not do it.
        """
        ...

    async def close(self) -> None:
        """Close the connections for commands."""
        ...


class Straight:
    """The way to one server.

    Args:
        dial: Opens a connection to it.
        name: Of the server, for logs.
    """

    def __init__(self, dial: Callable[[], Awaitable[Link]], name: str) -> None:
        self._dial, self._name = dial, name
        self.commands = Pipeline(dial, name)

    def place(self, key: str | bytes) -> int:
        """Return the one place that there is."""
        return 0

    async def dial(self, place: int) -> Link:
        """Open a connection; see `Route.dial`."""
        return await self._dial()

    def doubt(self) -> None:
        """Do nothing: the next connection goes to whoever answers then."""

    async def everywhere(self, parts: Sequence[object]) -> dict[str, Any]:
        """Send a plain command to the server; see `Route.everywhere`."""
        return {self._name: await self.commands.submit(Command(None, (), parts))}

    async def close(self) -> None:
        """Close the connection for commands."""
        await self.commands.close()
