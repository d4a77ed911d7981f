"""Redis Sentinel: finds the primary, and notices when another server becomes the primary.

The sentinels are asked for every new connection. That is not enough: a primary that was replaced but still runs
accepts writes for ten more seconds, until the sentinels make it a replica, and loses them. Therefore connections to
it are closed as soon as the sentinels announce another primary.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from weakref import WeakKeyDictionary

from aioq.errors import AioqError, BrokerConfigError
from aioq_redis.client.connection import Connection, ask_once, connect
from aioq_redis.client.errors import ConnectionLost, ErrorReply, Unreachable
from aioq_redis.client.pipeline import SingleServer
from aioq_redis.client.pubsub import ServerSubscriptions
from aioq_redis.client.url import Address, Settings

__all__ = ["SentinelRoute", "Sentinels"]

SENTINEL_TIMEOUT: Final = 0.5
"""Seconds for a sentinel to answer, before the next one is asked."""

logger = logging.getLogger("aioq.redis")


class Sentinels:
    """Asks the sentinels for the primary."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._order = list(settings.addresses)

    async def connect_to_primary(self) -> tuple[Address, Connection]:
        """Open a connection to the primary, and return its address too.

        Raises:
            ConnectionLost: No sentinel answers, or the server that they name does not, or is not a primary.
            BrokerConfigError: The sentinels do not watch the service, or the server rejects the login.
        """
        address = await self.primary()
        connection = await connect(self._settings.at(address))
        # Sentinels name a primary that was cut off, or was just replaced, for a while longer.
        role = connection.hello[b"role"]
        if role != b"master":
            connection.drop()
            raise ConnectionLost(f"the sentinels name {address} as the primary, but it is a {role.decode()}")
        return address, connection

    async def connect_to_sentinel(self) -> Connection:
        """Open a connection to a sentinel.

        Raises:
            ConnectionLost: No sentinel answers.
        """
        for sentinel in self._order:
            try:
                async with asyncio.timeout(SENTINEL_TIMEOUT):
                    return await connect(self._settings.of_sentinel(sentinel))
            # Another one may answer. The error below says enough if none does.
            except (ConnectionLost, TimeoutError):
                pass
        raise Unreachable("no sentinel answers")

    async def primary(self) -> Address:
        """Ask one sentinel after another; the one that knows the primary is asked first next time.

        Raises:
            ConnectionLost, BrokerConfigError: As for `connect_to_primary`.
        """
        unaware = 0
        reasons = ""
        # A copy: the order changes inside the loop.
        for sentinel in list(self._order):
            try:
                address = await self._ask(sentinel)
            except ConnectionLost as error:
                reasons = f"{reasons}; sentinel {sentinel}: {error}"
                continue
            if address is not None:
                self._order.remove(sentinel)
                self._order.insert(0, sentinel)
                return address
            unaware += 1
        if unaware == len(self._order):
            raise BrokerConfigError(
                f"the sentinels of {self._settings.masked} watch no service {self._settings.service!r}; "
                f"check the path of the URL"
            )
        raise ConnectionLost(f"no sentinel knows the primary{reasons}")

    async def _ask(self, sentinel: Address) -> Address | None:
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.service)
        reply = await ask_once(self._settings.of_sentinel(sentinel), *question, timeout=SENTINEL_TIMEOUT)
        if isinstance(reply, ErrorReply):
            raise BrokerConfigError(
                f"{sentinel} of {self._settings.masked} rejects SENTINEL: {reply.text}; "
                f"check the addresses in the URL, and sentinel_username= and sentinel_password="
            )
        return Address(reply[0].decode(), int(reply[1])) if reply else None


class SentinelRoute(SingleServer):
    """The route to the primary, whichever server that is."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(self._connect_to_primary, settings.masked)
        self._sentinels = Sentinels(settings)
        self._news = ServerSubscriptions(self._sentinels.connect_to_sentinel, f"the sentinels of {settings.masked}")
        # Weak references, as each connection is closed by the part that uses it.
        self._connections: WeakKeyDictionary[Connection, Address] = WeakKeyDictionary()
        self._watcher: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close the connections for commands, and to the sentinels."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        await self._news.close()
        await super().close()

    async def _connect_to_primary(self) -> Connection:
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch(), name="aioq.redis sentinels")
        address, connection = await self._sentinels.connect_to_primary()
        # Other connections may still lead to the old primary, which loses what it accepts now.
        self._drop_others(address)
        self._connections[connection] = address
        return connection

    async def _watch(self) -> None:
        try:
            async with self._news.subscribe("+switch-master") as subscription:
                while True:
                    await subscription.messages.get()
                    await self._follow()
        except (ConnectionLost, ErrorReply, AioqError) as error:
            logger.info(
                "the sentinels of %s do not announce a new primary: %s",
                self._name,
                error,
                extra={"event": "primary_unknown"},
            )

    async def _follow(self) -> None:
        try:
            self._drop_others(await self._sentinels.primary())
        # Sentinels that are set up anew do not watch the service for a while; later announcements still count.
        except (ConnectionLost, BrokerConfigError) as error:
            logger.info("cannot find the primary of %s: %s", self._name, error, extra={"event": "primary_unknown"})

    def _drop_others(self, address: Address) -> None:
        """Close all connections to other servers."""
        others = [connection for connection, known in self._connections.items() if known != address]
        if others:
            logger.info("the primary of %s is now %s", self._name, address, extra={"event": "primary_changed"})
        for connection in others:
            del self._connections[connection]
            connection.drop()
