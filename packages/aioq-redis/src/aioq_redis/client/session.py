"""The connections of one client in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from aioq_redis.client.blocking import Blocking
from aioq_redis.client.cluster import Cluster
from aioq_redis.client.cluster_blocking import ClusterBlocking
from aioq_redis.client.connection import connect
from aioq_redis.client.pubsub import PubSub
from aioq_redis.client.replication import Replication
from aioq_redis.client.routing import Route, Sender, SingleServer
from aioq_redis.client.sentinel import SentinelRoute
from aioq_redis.client.url import CLUSTER, SENTINEL, Durability, Settings

__all__ = ["Session"]


class Session:
    """Connections to each server: one for commands, one for messages, and one for each blocking wait.

    They are opened when they are first used.

    Attributes:
        pipeline: Sends commands.
        stores: Sends commands whose reply waits until enough replicas have what they wrote.
        channels: Subscribes to channels.
        blocking: Waits on lists.
    """

    def __init__(self, settings: Settings, durability: Durability, marker_key: Callable[[str], str]) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self.route = _route(settings)
        self.pipeline = self.route.commands
        self.channels = PubSub(self.route, settings.masked)
        blocking = Blocking(self.route)
        self.blocking = ClusterBlocking(self.route, blocking) if settings.kind == CLUSTER else blocking
        self._replication: Replication | None = None
        if durability.replicas:
            self._replication = Replication(self.route, durability, settings.masked, marker_key)
        self.stores: Sender = self._replication or self.pipeline

    async def close(self) -> None:
        """Close every connection."""
        self.closed = True
        await self.blocking.close()
        await self.channels.close()
        if self._replication is not None:
            await self._replication.close()
        await self.route.close()


def _route(settings: Settings) -> Route:
    if settings.kind == CLUSTER:
        return Cluster(settings)
    if settings.kind == SENTINEL:
        return SentinelRoute(settings)
    return SingleServer(partial(connect, settings), settings.masked)
