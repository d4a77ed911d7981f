"""Blocking waits: each has a connection to itself, and closes it when it is cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aioq_redis.connection import pack
from aioq_redis.errors import TRANSIENT, Lost, Refusal
from aioq_redis.links import Links
from aioq_redis.routes import Route

__all__ = ["Blocking"]

GRACE: Final = 5.0
"""Seconds that the server may answer later than it was told to."""


class Blocking:
    """Takes tokens from lists, waiting for one if need be."""

    def __init__(self, route: Route) -> None:
        self._route, self._links = route, Links(route)

    async def pop(self, keys: Sequence[str], timeout: float) -> bool:
        """Take a token from the first of the lists that has one; False when `timeout` seconds pass.

        Raises:
            Lost: The connection broke.
            Refusal: The server does not do it.
        """
        return bool(await self.take(keys, timeout))

    async def take(self, keys: Sequence[str], timeout: float) -> str:
        """Take a token as `pop` does, from lists in one place, and return the list that had it; empty for none."""
        async with self._links.lend(self._route.place(keys[0])) as line:
            data = pack(("BLPOP", *keys, f"{timeout:.3f}"))
            (reply,) = await line.ask(data, 1, timeout=timeout + GRACE)
            if isinstance(reply, Refusal):
                raise Lost(reply.text) if reply.code in TRANSIENT else reply
        return reply[0].decode() if reply else ""

    async def close(self) -> None:
        """Close all connections; waits that are under way fail with `Lost`."""
        await self._links.close()
