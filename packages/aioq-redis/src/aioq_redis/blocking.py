"""Blocking waits: each has a connection to itself, and closes it when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aioq_redis.connection import Link, pack
from aioq_redis.errors import TRANSIENT, Lost, Refusal

__all__ = ["Blocking"]

GRACE: Final = 5.0
"""Seconds that the server may answer later than it was told to."""


class Line:
    """One connection, on which one wait at a time is under way."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[Any] | None = None
        self._wire = link.hand_over(self._deliver)
        self._wire.ended.add_done_callback(self._broke)

    async def ask(self, keys: Sequence[str], timeout: float) -> Any:
        """Return the reply to a blocking pop.

        Raises:
            Lost: The connection broke.
        """
        if self._wire.ended.done():
            raise self._wire.ended.result()
        self._reply = self._loop.create_future()
        self._wire.write(pack(("BLPOP", *keys, f"{timeout:.3f}")))
        overdue = Lost(f"no reply to a wait of {timeout:g} s")
        alarm = self._loop.call_later(timeout + GRACE, self._wire.end, overdue)
        try:
            return await self._reply
        finally:
            alarm.cancel()

    def _deliver(self, reply: Any) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def _broke(self, ended: asyncio.Future[Lost]) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ended.result())


class Blocking:
    """Takes tokens from lists, waiting for one if need be."""

    def __init__(self, dial: Callable[[], Awaitable[Link]]) -> None:
        self._dial = dial
        self._idle: list[Line] = []
        self._busy: set[Line] = set()

    async def pop(self, keys: Sequence[str], timeout: float) -> bool:
        """Take a token from the first of the lists that has one; False when `timeout` seconds pass.

        Raises:
            Lost: The connection broke.
            Refusal: The server does not do it.
        """
        # Never reused after an error or a cancel: the reply may still be on its way.
        line = self._idle.pop() if self._idle else Line(await self._dial())
        self._busy.add(line)
        try:
            reply = await line.ask(keys, timeout)
        except BaseException:
            self._busy.discard(line)
            await line.link.drop()
            raise
        self._busy.discard(line)
        self._idle.append(line)
        if isinstance(reply, Refusal):
            raise Lost(reply.text) if reply.code in TRANSIENT else reply
        return reply is not None

    async def close(self) -> None:
        """Close all connections; waits that are under way fail with `Lost`."""
        lines = [*self._idle, *self._busy]
        self._idle.clear()
        for line in lines:
            await line.link.close()
