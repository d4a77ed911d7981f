"""Pub/sub: any number of subscriptions on one connection to a server, which stays open while there are any."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final

from aioq.errors import AioqError
from aioq.retry import full_jitter
from aioq_redis.client.connection import Connection, pack
from aioq_redis.client.errors import ConnectionLost, ErrorReply
from aioq_redis.client.routing import Route

__all__ = ["PubSub", "ServerSubscriptions", "Subscription"]

SILENCE: Final = 10.0
"""Seconds without a byte from the server, after which it gets a PING."""

PING_TIMEOUT: Final = 5.0
"""Seconds for the reply to the PING, after which the connection is given up."""

logger = logging.getLogger("aioq.redis")


class Subscription:
    """The messages of one subscriber. None stands for messages that may have been missed.

    Args:
        denied: No message will come: the server does not let us subscribe.
    """

    def __init__(self, *, denied: bool = False) -> None:
        self.denied = denied
        self.messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class ServerSubscriptions:
    """The subscriptions at one server, which are renewed after a connection was lost."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], name: str) -> None:
        self._connect = connect
        self._name = name
        self._subscriptions: defaultdict[bytes, set[Subscription]] = defaultdict(set)
        self._requested: set[bytes] = set()
        self._unconfirmed: Counter[bytes] = Counter()
        self._connection: Connection | None = None
        self._owner: asyncio.Task[None] | None = None
        self._answered: asyncio.Future[None] | None = None
        self._changing = False
        self._lost = False
        """Whether the loss of the connection was logged. Each subscriber may give up before another one is opened."""
        self._closed = False

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncGenerator[Subscription]:
        """Yield a subscription that gets every message of a channel from now on.

        Raises:
            BrokerConfigError, ErrorReply: The server rejects the login, or the subscription.
            ConnectionLost: The client was closed.
        """
        if self._closed:
            raise ConnectionLost("the connection was closed")
        name = channel.encode()
        subscription = Subscription()
        self._subscriptions[name].add(subscription)
        self._change()
        if self._is_subscribed(name):
            subscription.ready.set_result(None)
        if self._owner is None or self._owner.done():
            self._owner = asyncio.get_running_loop().create_task(self._run(), name="aioq.redis pubsub")
        try:
            await subscription.ready
            yield subscription
        finally:
            subscription.ready.cancel()
            self._subscriptions[name].discard(subscription)
            if not self._subscriptions[name]:
                del self._subscriptions[name]
                self._change()

    async def close(self) -> None:
        """Close the connection. Subscriptions get no more messages."""
        self._closed = True
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.cancel()
            await asyncio.wait([owner])

    async def _run(self) -> None:
        attempt = 0
        while self._subscriptions and not self._closed:
            try:
                connection = await self._connect()
                attempt = 0
                self._lost = False
                await self._serve(connection)
            except ConnectionLost as error:
                # An outage is logged once, however many attempts it takes.
                level = logging.DEBUG if self._lost else logging.WARNING
                self._lost = True
                logger.log(
                    level,
                    "lost the connection for messages of %s: %s; reconnecting",
                    self._name,
                    error,
                    extra={"event": "connection_lost"},
                )
            except (AioqError, ErrorReply) as error:
                self._fail_new(error)
            await asyncio.sleep(full_jitter(attempt))
            attempt += 1

    async def _serve(self, connection: Connection) -> None:
        connection.on_reply = self._receive
        self._connection = connection
        try:
            self._send_changes()
            await self._watch(connection)
            lost = connection.ended.result()
            raise lost.__cause__ if isinstance(lost.__cause__, ErrorReply) else lost
        finally:
            self._connection = None
            self._requested.clear()
            self._unconfirmed.clear()
            for subscription in self._all():
                # A message that was published during the outage is lost: the subscriber has to look for itself.
                subscription.messages.put_nowait(None)
            await connection.close()

    async def _watch(self, connection: Connection) -> None:
        """Return when the connection has ended; end it if the server is silent and does not answer a PING."""
        loop = asyncio.get_running_loop()
        while not connection.ended.done():
            left = connection.heard_at + SILENCE - loop.time()
            if left > 0:
                await asyncio.wait([connection.ended], timeout=left)
                continue
            asked_at = loop.time()
            self._answered = loop.create_future()
            # A dead connection and a silent channel look the same, and a subscriber would wait without end.
            connection.write(pack(("PING",)))
            ends: list[asyncio.Future[Any]] = [connection.ended, self._answered]
            await asyncio.wait(ends, timeout=PING_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if connection.heard_at < asked_at:
                connection.end(ConnectionLost(f"the server was silent for {SILENCE + PING_TIMEOUT:g} s"))

    def _change(self) -> None:
        """Send what has changed in the next iteration of the event loop, all changes together."""
        if not self._changing:
            self._changing = True
            asyncio.get_running_loop().call_soon(self._send_changes)

    def _send_changes(self) -> None:
        self._changing = False
        if self._connection is None:
            return
        # Compared with what was requested: a channel that was left and entered again in one iteration needs nothing.
        wanted = set(self._subscriptions)
        changes = [("SUBSCRIBE", name) for name in wanted - self._requested]
        changes += [("UNSUBSCRIBE", name) for name in self._requested - wanted]
        self._requested = wanted
        self._unconfirmed.update(name for _, name in changes)
        if changes:
            self._connection.write(b"".join(pack(change) for change in changes))

    def _receive(self, reply: Any) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        if isinstance(reply, ErrorReply):
            # An error does not name its channel, so all subscriptions of the connection begin again.
            raise ConnectionLost(reply.text) from reply
        # A connection with subscriptions answers a PING in the form of a message.
        if reply in (b"PONG", [b"pong", b""]):
            return
        kind, name, content = reply
        if kind != b"message":
            self._confirm(name)
            return
        for subscription in self._subscriptions.get(name, ()):
            subscription.messages.put_nowait(content)

    def _confirm(self, name: bytes) -> None:
        self._unconfirmed[name] -= 1
        if self._unconfirmed[name] <= 0:
            del self._unconfirmed[name]
        if not self._is_subscribed(name):
            return
        for subscription in self._subscriptions.get(name, ()):
            if subscription.ready.done():
                # Subscribed again after a loss: messages before this moment may have been missed.
                subscription.messages.put_nowait(None)
            else:
                subscription.ready.set_result(None)

    def _is_subscribed(self, name: bytes) -> bool:
        """Return whether every message of a channel reaches us: no change of its subscription is under way."""
        return name in self._requested and name not in self._unconfirmed

    def _fail_new(self, error: Exception) -> None:
        for subscription in self._all():
            if not subscription.ready.done():
                subscription.ready.set_exception(type(error)(*error.args))

    def _all(self) -> list[Subscription]:
        return [each for subscriptions in self._subscriptions.values() for each in subscriptions]


class PubSub:
    """Subscribes to channels, on one connection for each place."""

    def __init__(self, route: Route, name: str) -> None:
        self._route = route
        self._name = name
        self._places: dict[int, ServerSubscriptions] = {}

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[Subscription]:
        """Subscribe at the server that has the keys of the channel's name; see `ServerSubscriptions.subscribe`."""
        place = self._route.place(channel)
        if place not in self._places:
            self._places[place] = ServerSubscriptions(partial(self._route.connect, place), self._name)
        return self._places[place].subscribe(channel)

    async def close(self) -> None:
        """Close all connections. Subscriptions get no more messages."""
        for subscriptions in self._places.values():
            await subscriptions.close()
