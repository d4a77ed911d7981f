"""Which workers are up."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from aioq.model.job import WorkerInfo
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import milliseconds

__all__ = ["Fleet"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(WorkerInfo).decode


class Fleet:
    """What the broker does as a registry of workers."""

    def __init__(self, server: Database, layout: Layout) -> None:
        self._server, self._space = server, layout.fleet

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Say that a worker is up; see `aioq.protocols.WorkerRegistry.heartbeat`."""
        args = (worker.id, _encode(worker), milliseconds(ttl))
        await self._server.call("heartbeat", self._space, args, own=worker.id)

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        await self._server.command("DEL", self._space.key(f"worker:{worker_id}"))
        await self._server.command("ZREM", self._space.key("workers"), worker_id)

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up; see `aioq.protocols.WorkerRegistry.list_workers`."""
        ids = await self._server.command("ZRANGE", self._space.key("workers"), 0, -1)
        if not ids:
            return []
        said = await self._server.command("MGET", *(self._space.key("worker:").encode() + id for id in ids))
        workers: list[WorkerInfo] = []
        for text in said:
            # What a worker says of itself is gone when its time to live is over.
            with contextlib.suppress(msgspec.DecodeError):
                workers += [_decode(text)] if text else []
        return sorted(workers, key=lambda worker: worker.id)
