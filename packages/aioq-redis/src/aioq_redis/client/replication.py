"""Storing jobs on replicas too: WAIT follows what stores them, on a connection that nobody else waits on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aioq.errors import AioqError, NotReplicated
from aioq_redis.client.command import Command
from aioq_redis.client.connection import pack
from aioq_redis.client.errors import TRANSIENT, ConnectionLost, ErrorReply
from aioq_redis.client.pool import Line, Pool
from aioq_redis.client.routing import Route
from aioq_redis.client.url import Durability

__all__ = ["Replicating"]

MOST_AT_ONCE: Final = 8
"""Connections that wait for replicas at the same time; further calls stand in line."""

GRACE: Final = 5.0
"""Seconds that the server may take to answer, or answer later than it was told to."""

MARK_TTL: Final = 60_000
"""Milliseconds for which the mark stays."""


class Replicating:
    """Sends commands, and holds their replies back until enough replicas have what was written."""

    def __init__(self, route: Route, durability: Durability, name: str, marker_key: Callable[[str], str]) -> None:
        self._marker_key = marker_key
        self._route, self._durability, self._name = route, durability, name
        self._links = Pool(route)
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command; see `Sink.submit`. The future may fail with `NotReplicated`, too."""
        if self._closed:
            command.fail(ConnectionLost("the connection was closed"))
            return command.future
        task = asyncio.get_running_loop().create_task(self._store(command), name="aioq.redis replicating")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return command.future

    async def close(self) -> None:
        """Close the connections; what is on its way fails with `ConnectionLost`."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._links.close()

    async def _store(self, command: Command) -> None:
        try:
            async with self._turns, self._links.lend(self._route.place(command.key)) as line:
                reply = await self._call(line, command)
                if isinstance(reply, ErrorReply):
                    raise ConnectionLost(reply.text) if reply.code in TRANSIENT else reply
                await self._insist(line, command.key)
        except (ConnectionLost, ErrorReply, AioqError) as error:
            command.fail(error)
        except asyncio.CancelledError:
            command.fail(ConnectionLost("the connection was closed"))
            raise
        else:
            command.answer(reply)

    async def _call(self, line: Line, command: Command) -> Any:
        reply = await line.ask(command.packed(), 1, timeout=GRACE)
        if isinstance(reply[0], ErrorReply) and reply[0].code == "NOSCRIPT" and command.send_whole():
            reply = await line.ask(command.packed(), 1, timeout=GRACE)
        return reply[0]

    async def _insist(self, line: Line, key: str) -> None:
        """Return when enough replicas have what was written on a connection.

        Raises:
            NotReplicated: They took too long.
        """
        wanted, patience = self._durability.replicas, self._durability.patience
        # WAIT waits for what this connection has written last. A repeated command may have found that everything is
        # there, and written nothing; of that any replica would have a copy. Hence a write that is always one.
        mark = pack(("SET", self._marker_key(key), "", "PX", MARK_TTL))
        wait = pack(("WAIT", wanted, round(patience * 1000)))
        marked, copies = await line.ask(mark + wait, 2, timeout=patience + GRACE)
        if isinstance(copies, ErrorReply):
            raise copies
        if copies < wanted or isinstance(marked, ErrorReply):
            raise NotReplicated(self._name, wanted, 0 if isinstance(marked, ErrorReply) else copies, patience)
