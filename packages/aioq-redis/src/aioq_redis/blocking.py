"""Blocking waits: each has a connection to itself, and closes it when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aioq_redis.connection import Link, pack
from aioq_redis.errors import TRANSIENT, Lost, Refusal

__all__ = ["Blocking"]

GRACE: Final = 5.0
"""Seconds that the server may answer later than it was told to."""


class Blocking:
    """Takes tokens from lists, waiting for one if need be."""

    def __init__(self, dial: Callable[[], Awaitable[Link]]) -> None:
        self._dial = dial
        self._idle: list[Link] = []
        self._busy: set[Link] = set()

    async def pop(self, keys: Sequence[str], timeout: float) -> bool:
        """Take a token from the first of the lists that has one; False when `timeout` seconds pass.

        Raises:
            Lost: The connection broke.
            Refusal: The server does not do it.
        """
        # Never reused after an error or a cancel: the reply may still be on its way.
        link = self._idle.pop() if self._idle else await self._dial()
        self._busy.add(link)
        try:
            reply = await self._ask(link, keys, timeout)
        except BaseException:
            self._busy.discard(link)
            await link.drop()
            raise
        self._busy.discard(link)
        self._idle.append(link)
        if isinstance(reply, Refusal):
            raise Lost(reply.text) if reply.code in TRANSIENT else reply
        return reply is not None

    async def close(self) -> None:
        """Close all connections; waits that are under way fail with `Lost`."""
        links = [*self._idle, *self._busy]
        self._idle.clear()
        for link in links:
            await link.close()

    @staticmethod
    async def _ask(link: Link, keys: Sequence[str], timeout: float) -> object:
        try:
            async with asyncio.timeout(timeout + GRACE):
                await link.write(pack(("BLPOP", *keys, f"{timeout:.3f}")))
                return await link.read()
        except TimeoutError:
            raise Lost(f"no reply to a wait of {timeout:g} s") from None
