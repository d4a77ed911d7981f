"""The connections of one broker in one event loop, opened as they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from aioq_redis.client.blocking import Blocking
from aioq_redis.client.cluster import Cluster
from aioq_redis.client.cluster_blocking import Racing
from aioq_redis.client.connection import dial
from aioq_redis.client.pubsub import PubSub
from aioq_redis.client.replication import Replicating
from aioq_redis.client.routing import Route, Sink, Straight
from aioq_redis.client.sentinel import Watched
from aioq_redis.client.url import CLUSTER, SENTINEL, Durability, Settings

__all__ = ["Session"]


class Session:
    """A path to each server for commands, one for messages, and one for each blocking wait."""

    def __init__(self, settings: Settings, durability: Durability, marker_key: Callable[[str], str]) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self.route = _route(settings)
        self.pipeline = self.route.commands
        self.channels = PubSub(self.route, settings.masked)
        self._blocking = Blocking(self.route)
        self.blocking = Racing(self.route, self._blocking) if settings.kind == CLUSTER else self._blocking
        self._replicating = (
            Replicating(self.route, durability, settings.masked, marker_key) if durability.replicas else None
        )
        self.stores: Sink = self._replicating or self.pipeline
        """For commands that store jobs: their reply comes when the jobs are as safe as was asked for."""

    async def close(self) -> None:
        """Close every connection."""
        self.closed = True
        await self.blocking.close()
        await self.channels.close()
        if self._replicating is not None:
            await self._replicating.close()
        await self.route.close()


def _route(settings: Settings) -> Route:
    if settings.kind == CLUSTER:
        return Cluster(settings)
    if settings.kind == SENTINEL:
        return Watched(settings)
    return Straight(partial(dial, settings), settings.masked)
