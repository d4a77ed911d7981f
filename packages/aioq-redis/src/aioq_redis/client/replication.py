"""Holds replies back until replicas have what was written, with WAIT on connections of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

from aioq.errors import AioqError, NotReplicated
from aioq_redis.client.connection import Connection, pack
from aioq_redis.client.errors import TRANSIENT, ConnectionLost, ErrorReply, NotReady
from aioq_redis.client.pipeline import Command
from aioq_redis.client.pool import Pool
from aioq_redis.client.routing import Route
from aioq_redis.client.url import Durability

__all__ = ["Replication"]

MAX_CONNECTIONS: Final = 8
"""Connections that wait for replicas at a time; further commands wait for one of them."""

MARKER_TTL: Final = 60_000
"""Milliseconds until the marker key expires."""


class Replication:
    """Sends commands, and gives their replies when enough replicas have what was written.

    Args:
        route: Opens the connections.
        durability: How many replicas, and how long to wait for them.
        name: The server's, for errors.
        marker_key: Returns a key in the same hash slot as another.
    """

    def __init__(self, route: Route, durability: Durability, name: str, marker_key: Callable[[str], str]) -> None:
        self._route = route
        self._durability = durability
        self._name = name
        self._marker_key = marker_key
        self._pool = Pool(route)
        # WAIT blocks its connection, so commands that wait at the same time need one each.
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: dict[Command, Connection] = {}
        self._closed = False

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command; see `Sender.submit`. The future may fail with `NotReplicated`, too."""
        if self._closed:
            command.fail(ConnectionLost("the connection was closed"))
            return command.future
        task = asyncio.get_running_loop().create_task(self._run(command), name="aioq.redis replication")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return command.future

    def alive_until(self, command: Command | None) -> float:
        """Return until when a reply may still come; see `Sender.alive_until`."""
        under_way = self._under_way.values() if command is None else filter(None, [self._under_way.get(command)])
        return max((connection.alive_until(-math.inf) for connection in under_way), default=-math.inf)

    async def close(self) -> None:
        """Close the connections; commands under way fail with `ConnectionLost`."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._pool.close()

    async def _run(self, command: Command) -> None:
        try:
            async with self._turns, self._pool.acquire(self._route.place(command.key)) as connection:
                self._under_way[command] = connection
                reply = await self._send(connection, command)
                if isinstance(reply, ErrorReply):
                    raise NotReady(reply) if reply.code in TRANSIENT else reply
                await self._wait_for_replicas(connection, command.key)
        except (ConnectionLost, ErrorReply, AioqError) as error:
            command.fail(error)
        except asyncio.CancelledError:
            command.fail(ConnectionLost("the connection was closed"))
            raise
        else:
            command.answer(reply)
        finally:
            self._under_way.pop(command, None)

    async def _send(self, connection: Connection, command: Command) -> Any:
        (reply,) = await connection.request(command.packed())
        if isinstance(reply, ErrorReply) and reply.code == "NOSCRIPT" and command.send_whole():
            (reply,) = await connection.request(command.packed())
        return reply

    async def _wait_for_replicas(self, connection: Connection, key: str) -> None:
        """Return when enough replicas have what was written on a connection.

        Raises:
            NotReplicated: They took too long.
        """
        wanted = self._durability.replicas
        timeout = self._durability.timeout
        # WAIT waits for the last write of this connection. A repeated command that finds everything stored writes
        # nothing, and WAIT would return at once. Therefore a marker is always written before.
        mark = pack(("SET", self._marker_key(key), "", "PX", MARKER_TTL))
        wait = pack(("WAIT", wanted, round(timeout * 1000)))
        marked, copies = await connection.request(mark + wait, 2, wait=timeout)
        if isinstance(copies, ErrorReply):
            raise copies
        if copies < wanted or isinstance(marked, ErrorReply):
            raise NotReplicated(self._name, wanted, 0 if isinstance(marked, ErrorReply) else copies, timeout)
