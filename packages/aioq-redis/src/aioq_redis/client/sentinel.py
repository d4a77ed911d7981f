"""Redis Sentinel: asking which server is the primary, and hearing when it is another.

It is asked for each time that a connection is opened. That alone would not do: a primary that
was replaced and is well takes writes for ten seconds more, until the sentinels turn it into a
replica, and loses them. So connections to it are closed when the sentinels say so.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from weakref import WeakKeyDictionary

from aioq.errors import AioqError, BrokerConfigError
from aioq_redis.client.connection import CONNECT_TIMEOUT, Link, ask, dial
from aioq_redis.client.errors import ConnectionLost, ErrorReply, Unreachable
from aioq_redis.client.pubsub import Channels
from aioq_redis.client.routing import Straight
from aioq_redis.client.url import Address, Settings

__all__ = ["Sentinels", "Watched"]

ANSWER_TIMEOUT: Final = 0.5
"""Seconds that a sentinel has to answer, before the next is asked."""

logger = logging.getLogger("aioq.redis")


class Sentinels:
    """Knows where the sentinels are, and by them the primary."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._order = list(settings.addresses)

    async def dial(self) -> tuple[Address, Link]:
        """Open a connection to the primary, and return where it is.

        Raises:
            ConnectionLost: No sentinel answers, or the server that they name does not, or is no primary.
            BrokerConfigError: The sentinels do not know the service, or we are not let in.
        """
        address = await self.primary()
        link = await dial(self._settings.at(address))
        try:
            await self._insist(link, address)
        except BaseException:
            await link.drop()
            raise
        return address, link

    async def listen(self) -> Link:
        """Open a connection to a sentinel.

        Raises:
            ConnectionLost: None answers.
        """
        for sentinel in self._order:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    return await dial(self._settings.of_sentinel(sentinel))
            except (ConnectionLost, TimeoutError):
                pass
        raise Unreachable("no sentinel answers")

    async def primary(self) -> Address:
        """Ask one sentinel after another; the one that knows is asked first next time.

        Raises:
            ConnectionLost, BrokerConfigError: As for `dial`.
        """
        strangers, reason = 0, ""
        for sentinel in list(self._order):
            try:
                address = await self._ask(sentinel)
            except ConnectionLost as error:
                reason = f"{reason}; sentinel {sentinel}: {error}"
                continue
            if address is not None:
                self._order.remove(sentinel)
                self._order.insert(0, sentinel)
                return address
            strangers += 1
        if strangers == len(self._order):
            raise BrokerConfigError(
                f"the sentinels of {self._settings.masked} watch no service {self._settings.service!r}; "
                f"check the path of the URL"
            )
        raise ConnectionLost(f"no sentinel knows the primary{reason}")

    async def _ask(self, sentinel: Address) -> Address | None:
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.service)
        reply = await ask(self._settings.of_sentinel(sentinel), *question, timeout=ANSWER_TIMEOUT)
        if isinstance(reply, ErrorReply):
            raise BrokerConfigError(
                f"{sentinel} of {self._settings.masked} is no sentinel that we may ask: {reply.text}; "
                f"check the addresses in the URL, and sentinel_username= and sentinel_password="
            )
        return Address(reply[0].decode(), int(reply[1])) if reply else None

    async def _insist(self, link: Link, address: Address) -> None:
        # A primary that was cut off, or has just been replaced, is named for a while longer.
        hello = await link.call("HELLO", "2", timeout=CONNECT_TIMEOUT)
        if isinstance(hello, ErrorReply):
            raise ConnectionLost(hello.text)
        role = dict(zip(hello[::2], hello[1::2], strict=True))[b"role"]
        if role != b"master":
            raise ConnectionLost(f"{address} is not the primary, as the sentinel says, but a {role.decode()}")


class Watched(Straight):
    """The way to the primary, whichever it is."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(self._dial_primary, settings.masked)
        self._sentinels = Sentinels(settings)
        self._news = Channels(self._sentinels.listen, f"the sentinels of {settings.masked}")
        self._links: WeakKeyDictionary[Link, Address] = WeakKeyDictionary()
        self._watcher: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close the connections for commands, and to the sentinels."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        await self._news.close()
        await super().close()

    async def _dial_primary(self) -> Link:
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch(), name="aioq.redis sentinels")
        address, link = await self._sentinels.dial()
        await self._leave_others(address)
        self._links[link] = address
        return link

    async def _watch(self) -> None:
        try:
            async with self._news.listen("+switch-master") as inbox:
                while True:
                    await inbox.messages.get()
                    await self._look()
        except (ConnectionLost, ErrorReply, AioqError) as error:
            logger.info("the sentinels of %s do not tell us of a new primary: %s", self._name, error)

    async def _look(self) -> None:
        try:
            await self._leave_others(await self._sentinels.primary())
        # Sentinels that are set up anew know of no service for a while; later ones may be told of all the same.
        except (ConnectionLost, BrokerConfigError) as error:
            logger.info("cannot learn of the primary of %s: %s", self._name, error)

    async def _leave_others(self, address: Address) -> None:
        """Close all connections that lead elsewhere."""
        others = [link for link, known in self._links.items() if known != address]
        if others:
            logger.info("the primary of %s is now %s", self._name, address)
        for link in others:
            del self._links[link]
            await link.drop()
