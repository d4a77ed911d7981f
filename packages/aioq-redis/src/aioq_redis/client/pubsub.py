"""Pub/sub: any number of listeners on one connection to a server, which is kept up while there are any."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

from aioq.errors import AioqError
from aioq.retry import full_jitter
from aioq_redis.client.connection import Link, pack
from aioq_redis.client.errors import ConnectionLost, ErrorReply
from aioq_redis.client.routing import Route

__all__ = ["Channels", "Inbox", "PubSub"]

SILENCE: Final = 10.0
"""Seconds without a word from the server, after which it is asked for one."""

ANSWER_TIMEOUT: Final = 5.0
"""Seconds that it then has, before the connection is given up."""

logger = logging.getLogger("aioq.redis")


class Inbox:
    """What one listener has received. None stands for messages that may have been missed.

    A deaf one receives nothing, because the server does not let us listen.
    """

    def __init__(self, *, deaf: bool = False) -> None:
        self.deaf = deaf
        self.messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Channels:
    """Delivers messages to listeners, and subscribes again after a connection was lost."""

    def __init__(self, dial: Callable[[], Awaitable[Link]], name: str) -> None:
        self._dial, self._name = dial, name
        self._inboxes: defaultdict[bytes, set[Inbox]] = defaultdict(set)
        self._asked: set[bytes] = set()
        self._unanswered: Counter[bytes] = Counter()
        self._changed = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncGenerator[Inbox]:
        """Give an inbox that gets every message of the channel from now on.

        Raises:
            BrokerConfigError, ErrorReply: The server does not let us in, or not listen.
            ConnectionLost: The broker was closed.
        """
        if self._closed:
            raise ConnectionLost("the connection was closed")
        name, inbox = channel.encode(), Inbox()
        self._inboxes[name].add(inbox)
        self._changed.set()
        if self._is_subscribed(name):
            inbox.ready.set_result(None)
        if self._owner is None or self._owner.done():
            self._owner = asyncio.get_running_loop().create_task(self._own(), name="aioq.redis channels")
        try:
            await inbox.ready
            yield inbox
        finally:
            inbox.ready.cancel()
            self._inboxes[name].discard(inbox)
            if not self._inboxes[name]:
                del self._inboxes[name]
                self._changed.set()

    async def close(self) -> None:
        """Close the connection. Listeners hear nothing any more."""
        self._closed = True
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.cancel()
            await asyncio.wait([owner])

    async def _own(self) -> None:
        attempt = 0
        while self._inboxes and not self._closed:
            try:
                link = await self._dial()
                attempt = 0
                await self._serve(link)
            except ConnectionLost as error:
                # An outage is told once, however often somebody looks whether it is over.
                level = logging.DEBUG if attempt else logging.INFO
                logger.log(level, "lost the connection for messages of %s: %s; reconnecting", self._name, error)
            except (AioqError, ErrorReply) as error:
                self._refuse(error)
            await asyncio.sleep(full_jitter(attempt))
            attempt += 1

    async def _serve(self, link: Link) -> None:
        self._changed.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(link), name="aioq.redis channel writer")
                tasks.create_task(self._read(link), name="aioq.redis channel reader")
                tasks.create_task(self._watch(link), name="aioq.redis channel watch")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._asked.clear()
            self._unanswered.clear()
            for inbox in self._everybody():
                inbox.messages.put_nowait(None)
            await link.close()

    async def _write(self, link: Link) -> None:
        """Tell the server of our channels, whenever they change."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = set(self._inboxes)
            changes = [("SUBSCRIBE", name) for name in wanted - self._asked]
            changes += [("UNSUBSCRIBE", name) for name in self._asked - wanted]
            self._asked = wanted
            self._unanswered.update(name for _, name in changes)
            if changes:
                await link.write(b"".join(pack(change) for change in changes))

    async def _read(self, link: Link) -> None:
        while True:
            reply = await link.read()
            self._heard.set()
            if isinstance(reply, ErrorReply):
                raise reply
            if reply in (b"PONG", [b"pong", b""]):
                continue
            kind, name, content = reply
            if kind == b"message":
                for inbox in self._inboxes.get(name, ()):
                    inbox.messages.put_nowait(content)
            else:
                self._confirm(name)

    async def _watch(self, link: Link) -> None:
        """Give up a connection at whose other end there is nobody: listening alone would never tell."""
        while True:
            if not await self._hears_within(SILENCE):
                await link.write(pack(("PING",)))
                if not await self._hears_within(ANSWER_TIMEOUT):
                    raise ConnectionLost(f"nothing was heard for {SILENCE + ANSWER_TIMEOUT:g} s")

    async def _hears_within(self, seconds: float) -> bool:
        self._heard.clear()
        try:
            async with asyncio.timeout(seconds):
                return await self._heard.wait()
        except TimeoutError:
            return False

    def _confirm(self, name: bytes) -> None:
        self._unanswered[name] -= 1
        if self._unanswered[name] <= 0:
            del self._unanswered[name]
        if self._is_subscribed(name):
            for inbox in self._inboxes.get(name, ()):
                if inbox.ready.done():
                    # Subscribed again after a loss: only from now on is nothing missed.
                    inbox.messages.put_nowait(None)
                else:
                    inbox.ready.set_result(None)

    def _is_subscribed(self, name: bytes) -> bool:
        """Say whether nothing that the server has yet to hear could make us miss a message."""
        return name in self._asked and name not in self._unanswered

    def _refuse(self, error: Exception) -> None:
        for inbox in self._everybody():
            if not inbox.ready.done():
                inbox.ready.set_exception(type(error)(*error.args))

    def _everybody(self) -> list[Inbox]:
        return [inbox for inboxes in self._inboxes.values() for inbox in inboxes]


class PubSub:
    """The channels of each place, on a connection of its own."""

    def __init__(self, route: Route, name: str) -> None:
        self._route, self._name = route, name
        self._places: dict[int, Channels] = {}

    def listen(self, channel: str) -> AbstractAsyncContextManager[Inbox]:
        """Give an inbox for a channel, from the server that has the keys of that name; see `Channels.listen`."""
        place = self._route.place(channel)
        if place not in self._places:
            self._places[place] = Channels(partial(self._route.dial, place), self._name)
        return self._places[place].listen(channel)

    async def close(self) -> None:
        """Close all connections. Listeners hear nothing any more."""
        for channels in self._places.values():
            await channels.close()
