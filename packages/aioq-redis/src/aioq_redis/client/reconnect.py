"""Bounds how often a part of the client connects again, however many callers it has."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Final

from aioq_redis.client.errors import NotReady

__all__ = ["LEAVE_EVERY", "ReconnectPace"]

LEAVE_EVERY: Final = 5.0
"""Seconds between two connections that are given up because their server does not take writes."""

CONNECT_EVERY: Final = 0.5
"""Seconds from a try to connect that failed until the next one."""

_ELSEWHERE: Final = frozenset({"ASK", "MASTERDOWN", "MOVED", "READONLY", "UNBLOCKED"})
"""Codes that say that another server is the right one to ask. With the others a new connection would not help."""


@dataclass(slots=True)
class ReconnectPace:
    """Says when to give up a connection that is in order, and when to open the next one."""

    left_at: float = -math.inf
    """When a connection in order was given up last, on the clock of the event loop."""
    failed_at: float = -math.inf
    """When a try to connect failed last."""

    def may_leave(self, error: NotReady) -> bool:
        """Return whether to give up the connection because of an answer, and look for another server.

        The name in the URL may lead to another server now, and sentinels may name another one. If they do not, a new
        connection gets the same answer, so the next one is given up later.
        """
        now = asyncio.get_running_loop().time()
        if error.code not in _ELSEWHERE or now - self.left_at < LEAVE_EVERY:
            return False
        self.left_at = now
        return True

    def note_failure(self) -> None:
        """Note that a connection could not be opened."""
        self.failed_at = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """Wait until the next connection may be opened."""
        left = self.failed_at + CONNECT_EVERY - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)
