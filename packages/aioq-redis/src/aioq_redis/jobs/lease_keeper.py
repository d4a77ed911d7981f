"""Extends leases from a thread, while a task blocks the worker's event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError

from aioq.model.job import Lease
from aioq_redis.jobs.settle import SettleRole
from aioq_redis.storage.database import Database

__all__ = ["ThreadLeaseKeeper"]


class ThreadLeaseKeeper:
    """An `aioq.protocols.LeaseKeeper`, with a thread and an event loop of its own.

    The thread is started by the first call. Its event loop follows a promoted replica and moved slots as the
    worker's does, and a task that blocks the worker's loop does not block it.

    Args:
        role: Extends the leases, on a database that nothing else uses.
        database: That database.
    """

    def __init__(self, role: SettleRole, database: Database) -> None:
        self._role = role
        self._database = database
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.LeaseKeeper.extend`."""
        with self._lock:
            if self._closed:
                raise self._database.unavailable("the connection was closed")
            loop = self._loop = self._loop or _start_loop()
            call = asyncio.run_coroutine_threadsafe(self._role.extend(leases, seconds=seconds), loop)
        try:
            return call.result()
        except CancelledError:
            raise self._database.unavailable("the connection was closed") from None

    def close(self) -> None:
        """Close the connections and end the thread; a call that is under way fails."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            # Not awaited: the worker's event loop calls this, and a slow server must not block it.
            asyncio.run_coroutine_threadsafe(self._end(), loop)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await self._database.close()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        asyncio.get_running_loop().stop()


def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=_run_loop, args=(loop,), name="aioq.redis lease keeper", daemon=True).start()
    return loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
