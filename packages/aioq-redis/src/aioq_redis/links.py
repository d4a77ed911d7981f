"""Connections that are lent out whole, each to one user at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aioq_redis.errors import Lost
from aioq_redis.lines import Line
from aioq_redis.routes import Route

__all__ = ["Links"]


class Links:
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
            Lost: It cannot be opened, or they were all closed.
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
            if isinstance(error, Lost):
                self._route.doubt()
            await line.link.drop()
            raise
        self._busy.discard(line)
        idle.append(line)

    async def _dial(self, place: int) -> Line:
        link = await self._route.dial(place)
        if self._closed:
            await link.drop()
            raise Lost("the connection was closed")
        return Line(link)

    async def close(self) -> None:
        """Close all connections; who uses one gets `Lost`."""
        self._closed = True
        lines = [*self._busy, *(line for idle in self._idle.values() for line in idle)]
        self._idle.clear()
        for line in lines:
            await line.link.close()
