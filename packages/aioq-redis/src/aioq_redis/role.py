"""Base class of the roles of the broker, and the set of queues that they share."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

from aioq_redis.client.pipeline import Command
from aioq_redis.client.session import Session
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import MAX_QUEUES, Layout
from aioq_redis.storage.retention import Retention

__all__ = ["ADD_EVERY", "BrokerRole", "KnownQueues"]

ADD_EVERY: Final = 60.0
"""Seconds after which a queue that is in use is added to the set of queues again."""


class KnownQueues:
    """Adds queues to `queue_names`, the set of the queues that `queue_stats` returns.

    Attributes:
        added: When each queue was added last, on the clock of the event loop.
    """

    def __init__(self, layout: Layout) -> None:
        self._key = layout.fleet.key("queue_names")
        self.added: dict[str, float] = {}

    def add(self, queue: str, session: Session) -> None:
        """Add a queue, before the next command is sent. If that fails, the next job in the queue adds it."""
        now = session.loop.time()
        if now - self.added.get(queue, -math.inf) < ADD_EVERY:
            return

        def record(reply: asyncio.Future[Any]) -> None:
            if not reply.cancelled() and reply.exception() is None:
                if len(self.added) >= MAX_QUEUES:
                    self.added.clear()
                self.added[queue] = now

        # Not awaited: only listings read this set, and an enqueue must not become slower for them.
        session.pipeline.submit(Command(None, (), ("SADD", self._key, queue))).add_done_callback(record)


class BrokerRole:
    """Base of the classes that implement one protocol of aioq each, or a part of one.

    `RedisBroker` inherits them all. A role can also be used alone, on a database of its own.

    Args:
        database: The server.
        layout: The keys of the namespace.
        retention: How long records of ended jobs are kept.
    """

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        self._database = database
        self._layout = layout
        self._retention = retention
        self._known_queues = KnownQueues(layout)
