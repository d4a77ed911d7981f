"""Making sure that a queue that gets jobs is known as one."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

from aioq_redis.client.command import Command
from aioq_redis.client.session import Session
from aioq_redis.storage.keys import Layout

__all__ = ["Naming"]

NAME_AGAIN: Final = 60.0
"""Seconds after which a queue that is in use is written among the queues again."""


class Naming:
    """The names of queues, as far as this process has written them down."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._named: dict[str, float] = {}

    def name(self, queue: str, session: Session) -> None:
        """Write a queue among the queues, on the way of what is sent next; if that fails, again next time."""
        now = session.loop.time()
        if now - self._named.get(queue, -math.inf) < NAME_AGAIN:
            return

        def named(reply: asyncio.Future[Any]) -> None:
            if not reply.cancelled() and reply.exception() is None:
                self._named[queue] = now

        command = Command(None, (), ("SADD", self._layout.fleet.key("queues"), queue))
        session.pipeline.submit(command).add_done_callback(named)
