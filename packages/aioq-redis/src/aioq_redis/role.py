"""Base class of the roles of the broker, and helpers that group work by queue."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

from aioq_redis.client.client import gather_all
from aioq_redis.client.pipeline import Command
from aioq_redis.client.session import Session
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention

__all__ = ["ADD_EVERY", "BrokerRole", "KnownQueues", "gather_by", "group_by", "queue_of", "ungroup"]

ADD_EVERY: Final = 60.0
"""Seconds after which a queue that is in use is added to the set of queues again."""

T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K")

queue_of: Final[Callable[[Any], str]] = attrgetter("queue")
"""Returns the attribute `queue`."""


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


def group_by(items: Iterable[T], key_of: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the items of each key, such as a queue, in order."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key_of(item), []).append(item)
    return groups


def ungroup(items: Iterable[T], answers: Mapping[K, Iterable[R]], key_of: Callable[[T], K]) -> list[R]:
    """Return the answers to grouped items in the order of the items; `answers` has one for each item of a group."""
    following = {key: iter(part) for key, part in answers.items()}
    return [next(following[key_of(item)]) for item in items]


async def gather_by(
    items: Sequence[T],
    work: Callable[[K, list[T]], Coroutine[Any, Any, Sequence[R]]],
    key_of: Callable[[T], K],
) -> list[R]:
    """Do the work of each key concurrently, and return all answers in the order of the items.

    Args:
        items: The items.
        work: Called with a key and its items; returns one answer for each.
        key_of: Returns the queue of an item, or a key that contains it.
    """
    groups = group_by(items, key_of)
    # Each queue may be on another node of a cluster, so no single script can do it.
    answers = await gather_all(work(key, own) for key, own in groups.items())
    return ungroup(items, dict(zip(groups, answers, strict=True)), key_of)
