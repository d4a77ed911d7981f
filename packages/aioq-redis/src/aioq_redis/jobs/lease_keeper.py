"""Extending leases from a thread that has an event loop and connections of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Final

from aioq.model.job import Lease
from aioq_redis.jobs.settle import Settling
from aioq_redis.storage.database import Database

__all__ = ["PATIENCE", "RoutedKeeper"]

PATIENCE: Final = 5.0
"""Seconds that one extension may take, repetitions included."""


class RoutedKeeper:
    """An `aioq.protocols.LeaseKeeper`. Its thread begins when it is first used.

    Args:
        server: With connections for nobody else.
        settling: Extends leases on that server.
    """

    def __init__(self, server: Database, settling: Settling) -> None:
        self._server, self._settling = server, settling
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.LeaseKeeper.extend`."""
        with self._lock:
            if self._closed:
                raise self._server.unavailable("the connection was closed")
            loop = self._loop = self._loop or _begin()
            call = asyncio.run_coroutine_threadsafe(self._settling.extend(leases, seconds=seconds), loop)
        try:
            return call.result()
        except CancelledError:
            raise self._server.unavailable("the connection was closed") from None

    def close(self) -> None:
        """Close the connections, for good."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await self._server.close()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        asyncio.get_running_loop().stop()


def _begin() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=_run, args=(loop,), name="aioq.redis keeper", daemon=True).start()
    return loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
