"""Storing jobs on replicas too: WAIT follows what stores them, on a connection that nobody else waits on."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aioq.errors import AioqError, NotReplicated
from aioq_redis.connection import Link, pack
from aioq_redis.durability import Durability
from aioq_redis.errors import TRANSIENT, Lost, Refusal
from aioq_redis.keys import beside
from aioq_redis.links import Links
from aioq_redis.pipeline import Command
from aioq_redis.routes import Route

__all__ = ["Replicating"]

MOST_AT_ONCE: Final = 8
"""Connections that wait for replicas at the same time; further calls stand in line."""

GRACE: Final = 1.0
"""Seconds that the server may answer later than it was told to."""

MARK_TTL: Final = 60_000
"""Milliseconds for which the mark stays."""


class Replicating:
    """Sends commands, and holds their replies back until enough replicas have what was written."""

    def __init__(self, route: Route, durability: Durability, name: str) -> None:
        self._route, self._durability, self._name = route, durability, name
        self._links = Links(route)
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command; see `Sink.submit`. The future may fail with `NotReplicated`, too."""
        if self._closed:
            command.fail(Lost("the connection was closed"))
            return command.future
        task = asyncio.get_running_loop().create_task(self._store(command), name="aioq.redis replicating")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return command.future

    async def close(self) -> None:
        """Close the connections; what is on its way fails with `Lost`."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._links.close()

    async def _store(self, command: Command) -> None:
        try:
            async with self._turns, self._links.lend(self._route.place(command.key)) as link:
                reply, copies = await self._exchange(link, command)
                if isinstance(reply, Refusal) and reply.code in TRANSIENT:
                    raise Lost(reply.text)
        except (Lost, AioqError) as error:
            command.fail(error)
        except asyncio.CancelledError:
            command.fail(Lost("the connection was closed"))
            raise
        else:
            self._answer(command, reply, copies)

    def _answer(self, command: Command, reply: Any, copies: Any) -> None:
        wanted = self._durability.replicas
        if isinstance(reply, Refusal):
            command.fail(reply)
        elif isinstance(copies, Refusal):
            command.fail(copies)
        elif copies < wanted:
            command.fail(NotReplicated(self._name, wanted, copies, self._durability.patience))
        else:
            command.answer(reply)

    async def _exchange(self, link: Link, command: Command) -> tuple[Any, Any]:
        """Return the command's reply, and how many replicas have what it wrote."""
        patience = self._durability.patience
        try:
            async with asyncio.timeout(patience + GRACE):
                reply, copies = await self._ask(link, command, patience)
                if isinstance(reply, Refusal) and reply.code == "NOSCRIPT" and command.send_whole():
                    return await self._ask(link, command, patience)
                return reply, copies
        except TimeoutError:
            raise Lost(f"no reply within {patience + GRACE:g} s") from None

    async def _ask(self, link: Link, command: Command, patience: float) -> tuple[Any, Any]:
        # WAIT waits for what this connection has written last. A repeated command may find that everything is
        # there, write nothing, and so be told of any replica; hence a write that cannot be left out.
        mark = pack(("SET", beside(command.key, "copied"), "", "PX", MARK_TTL))
        wait = pack(("WAIT", self._durability.replicas, round(patience * 1000)))
        await link.write(command.packed + mark + wait)
        reply, marked, copies = [await link.read() for _ in range(3)]
        return reply, 0 if isinstance(marked, Refusal) else copies
