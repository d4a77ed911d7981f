"""Connections that one user has at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aioq_redis.client.connection import Connection
from aioq_redis.client.errors import ConnectionLost, NotReady
from aioq_redis.client.reconnect import ReconnectPace
from aioq_redis.client.routing import Route

__all__ = ["Pool"]


class Pool:
    """Opens connections when they are needed, and reuses those that worked."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._idle: defaultdict[int, list[Connection]] = defaultdict(list)
        self._busy: set[Connection] = set()
        self._pace = ReconnectPace()
        self._closed = False
        self._guard: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def acquire(self, place: int) -> AsyncGenerator[Connection]:
        """Yield a connection to the server of a place. After a cancel or an error it is closed, except `NotReady`.

        Raises:
            ConnectionLost: No connection can be opened, or the pool is closed.
        """
        connection = self._reusable(place) or await self._open(place)
        self._busy.add(connection)
        try:
            yield connection
        except BaseException as error:
            if isinstance(error, ConnectionLost):
                self._route.suspect()
            if isinstance(error, NotReady) and not self._pace.may_leave(error):
                self._idle[place].append(connection)
            else:
                # Its reply may still be on the way, and the next user would take it for its own.
                connection.drop()
            raise
        else:
            self._idle[place].append(connection)
        finally:
            self._busy.discard(connection)

    async def close(self) -> None:
        """Close all connections; requests under way fail with `ConnectionLost`."""
        self._closed = True
        if self._guard is not None:
            self._guard.cancel()
        connections = [*self._busy, *(each for idle in self._idle.values() for each in idle)]
        self._idle.clear()
        for connection in connections:
            await connection.close()

    async def _close_at_end(self) -> None:
        """Close the idle connections when the event loop ends: `asyncio.run` cancels all tasks."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for connection in [each for idle in self._idle.values() for each in idle]:
                connection.drop()

    def _reusable(self, place: int) -> Connection | None:
        # A server that restarts breaks all idle connections; each one left here would cost its user a try.
        idle = self._idle[place]
        while idle:
            connection = idle.pop()
            if not connection.ended.done():
                return connection
            connection.drop()
        return None

    async def _open(self, place: int) -> Connection:
        if self._guard is None:
            self._guard = asyncio.get_running_loop().create_task(self._close_at_end(), name="aioq.redis pool")
        connection = await self._route.connect(place)
        # The pool may have been closed while the connection was opened.
        if self._closed:
            connection.drop()
            raise ConnectionLost("the connection was closed")
        return connection
