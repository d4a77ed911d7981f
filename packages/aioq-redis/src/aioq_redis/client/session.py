"""The connections of one client in one event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import cached_property, partial
from typing import Any

from aioq_redis.client.blocking import Blocking
from aioq_redis.client.cluster import Cluster
from aioq_redis.client.cluster_blocking import ClusterBlocking
from aioq_redis.client.connection import connect
from aioq_redis.client.errors import ConnectionLost
from aioq_redis.client.pipeline import SingleServer
from aioq_redis.client.pubsub import PubSub
from aioq_redis.client.replication import Replication
from aioq_redis.client.routing import Route, Sender
from aioq_redis.client.sentinel import SentinelRoute
from aioq_redis.client.url import CLUSTER, SENTINEL, Durability, Settings

__all__ = ["Session"]


class Session:
    """Connections to each server: one for commands, one for messages, and one for each blocking wait.

    They are opened when they are first used.

    Attributes:
        pipeline: Sends commands.
        gave_up_at: When a call was given up last, on the clock of the event loop.
        durable: Sends commands whose reply waits until enough replicas have what they wrote.
        kept: What the users of the client keep for as long as these connections, by name.
    """

    def __init__(self, settings: Settings, durability: Durability, marker_key: Callable[[str], str]) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self.kept: dict[str, Any] = {}
        self.gave_up_at = -math.inf
        self.route = _route(settings)
        self.pipeline = self.route.commands
        self._settings = settings
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self.durable: Sender = self.pipeline
        if durability.replicas:
            self.durable = replication = Replication(self.route, durability, settings.masked, marker_key)
            self._closers.append(replication.close)

    @cached_property
    def pubsub(self) -> PubSub:
        """Subscribes to channels; made when it is first used, because a client that only enqueues needs none."""
        pubsub = PubSub(self.route, self._settings.masked)
        self._close_later(pubsub.close)
        return pubsub

    @cached_property
    def blocking(self) -> Blocking | ClusterBlocking:
        """Waits on lists; made when it is first used."""
        single = Blocking(self.route)
        blocking = ClusterBlocking(self.route, single) if self._settings.kind == CLUSTER else single
        self._close_later(blocking.close)
        return blocking

    async def close(self) -> None:
        """Close every connection."""
        self.closed = True
        for close in reversed(self._closers):
            await close()
        await self.route.close()

    def _close_later(self, close: Callable[[], Awaitable[None]]) -> None:
        if self.closed:
            raise ConnectionLost("the connection was closed")
        self._closers.append(close)


def _route(settings: Settings) -> Route:
    if settings.kind == CLUSTER:
        return Cluster(settings)
    if settings.kind == SENTINEL:
        return SentinelRoute(settings)
    return SingleServer(partial(connect, settings), settings.masked)
