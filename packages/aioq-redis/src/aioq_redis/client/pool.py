"""Connections that are lent out whole, each to one user at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aioq_redis.client.connection import Link
from aioq_redis.client.errors import ConnectionLost
from aioq_redis.client.routing import Route

__all__ = ["Line", "Pool"]


class Pool:
    """Opens connections as they are needed, and keeps those that nothing went wrong with."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._idle: defaultdict[int, list[Line]] = defaultdict(list)
        self._busy: set[Line] = set()
        self._closed = False

    @asynccontextmanager
    async def lend(self, place: int) -> AsyncGenerator[Line]:
        """Lend a connection to the server that has a place.

        After an error or a cancel it is closed: the reply may still be on its way.

        Raises:
            ConnectionLost: It cannot be opened, or they were all closed.
        """
        idle = self._idle[place]
        # Those that a server took down with it are all gone: each would cost its user a try.
        while idle and idle[-1].broken:
            await idle.pop().link.drop()
        line = idle.pop() if idle else await self._dial(place)
        self._busy.add(line)
        try:
            yield line
        except BaseException as error:
            self._busy.discard(line)
            if isinstance(error, ConnectionLost):
                self._route.doubt()
            await line.link.drop()
            raise
        self._busy.discard(line)
        idle.append(line)

    async def _dial(self, place: int) -> Line:
        link = await self._route.dial(place)
        if self._closed:
            await link.drop()
            raise ConnectionLost("the connection was closed")
        return Line(link)

    async def close(self) -> None:
        """Close all connections; who uses one gets `ConnectionLost`."""
        self._closed = True
        lines = [*self._busy, *(line for idle in self._idle.values() for line in idle)]
        self._idle.clear()
        for line in lines:
            await line.link.close()


class Line:
    """One connection; after an error or a cancel it is of no more use, for the replies may still be on their way."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._loop = asyncio.get_running_loop()
        self._replies: list[Any] = []
        self._due = 0
        self._done: asyncio.Future[None] | None = None
        self._next: Callable[[Any], bool] | None = None
        self._wire = link.hand_over(self._deliver)
        self._wire.ended.add_done_callback(self._broke)

    @property
    def broken(self) -> bool:
        """Whether the connection has ended, as it may while nobody uses it."""
        return self._wire.ended.done()

    async def ask(
        self, data: bytes, commands: int, *, timeout: float, then: Callable[[Any], bool] | None = None
    ) -> list[Any]:
        """Send commands, and return so many replies: also of what `add` sends meanwhile.

        Args:
            then: Is called with each reply but the last; false when no others are to come.

        Raises:
            ConnectionLost: The connection broke, or the replies do not come in `timeout` seconds.
        """
        if self._wire.ended.done():
            raise self._wire.ended.result()
        self._replies, self._due, self._done = [], commands, self._loop.create_future()
        self._next = then
        self._wire.write(data)
        alarm = self._loop.call_later(timeout, self._wire.end, ConnectionLost(f"no reply within {timeout:g} s"))
        try:
            await self._done
        finally:
            alarm.cancel()
        return self._replies

    def add(self, data: bytes) -> None:
        """Send a command whose reply is awaited already."""
        self._wire.write(data)

    def _deliver(self, reply: Any) -> None:
        self._replies.append(reply)
        if self._done is None or self._done.done():
            return
        if len(self._replies) == self._due or (self._next is not None and not self._next(reply)):
            self._done.set_result(None)

    def _broke(self, ended: asyncio.Future[ConnectionLost]) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ended.result())
