"""Registers the workers that are up."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from aioq.model.workers import WorkerInfo
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole

__all__ = ["WorkerRegistryRole"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(WorkerInfo).decode


class WorkerRegistryRole(BrokerRole):
    """Implements `aioq.protocols.WorkerRegistry`."""

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Register a worker for `ttl` seconds; see `aioq.protocols.WorkerRegistry.heartbeat`."""
        args = (worker.id, _encode(worker), milliseconds(ttl))
        await self._database.call("heartbeat", self._layout.fleet, args, own=worker.id)

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        # The record first: if the second command fails, the name is left without a record, and `list_workers` skips it.
        await self._database.command("DEL", self._layout.fleet.key(f"worker:{worker_id}"), patient=False)
        await self._database.command("ZREM", self._layout.fleet.key("workers"), worker_id, patient=False)

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up; see `aioq.protocols.WorkerRegistry.list_workers`."""
        ids = await self._database.command("ZRANGE", self._layout.fleet.key("workers"), 0, -1, patient=False)
        if not ids:
            return []
        texts = await self._database.command("MGET", *(self._layout.fleet.key("worker:").encode() + id for id in ids))
        workers: list[WorkerInfo] = []
        for text in texts:
            # A worker may have expired since its id was read, and a later version may describe it in another way.
            with contextlib.suppress(msgspec.DecodeError):
                workers += [_decode(text)] if text else []
        return sorted(workers, key=lambda worker: worker.id)
