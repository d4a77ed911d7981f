"""Redis Sentinel: asking which server is the primary, each time that a connection is opened."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aioq.errors import BrokerConfigError
from aioq_redis.connection import CONNECT_TIMEOUT, Link, dial
from aioq_redis.errors import TRANSIENT, Lost, Refusal
from aioq_redis.settings import Address, Settings

__all__ = ["Sentinels"]

ANSWER_TIMEOUT: Final = 0.5
"""Seconds that a sentinel has to answer, before the next is asked."""

logger = logging.getLogger("aioq.redis")


class Sentinels:
    """Knows where the sentinels are, and by them the primary."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._order = list(settings.addresses)
        self._latest: Address | None = None

    async def dial(self) -> Link:
        """Open a connection to the primary.

        Raises:
            Lost: No sentinel answers, or the server that they name does not, or is no primary.
            BrokerConfigError: The sentinels do not know the service, or we are not let in.
        """
        address = await self._primary()
        link = await dial(self._settings.at(address))
        try:
            await self._insist(link, address)
        except BaseException:
            await link.drop()
            raise
        if self._latest not in (None, address):
            logger.info("the primary of %s is now %s", self._settings.masked, address)
        self._latest = address
        return link

    async def _primary(self) -> Address:
        """Ask one sentinel after another; the one that knows is asked first next time."""
        strangers, reason = 0, ""
        for sentinel in list(self._order):
            try:
                address = await self._ask(sentinel)
            except Lost as error:
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
        raise Lost(f"no sentinel knows the primary{reason}")

    async def _ask(self, sentinel: Address) -> Address | None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                link = await dial(self._settings.of_sentinel(sentinel))
                try:
                    reply = await link.call(
                        "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.service, timeout=ANSWER_TIMEOUT
                    )
                finally:
                    await link.drop()
        except TimeoutError:
            raise Lost(f"no answer within {ANSWER_TIMEOUT:g} s") from None
        if isinstance(reply, Refusal):
            if reply.code in TRANSIENT:
                raise Lost(reply.text)
            raise BrokerConfigError(
                f"{sentinel} of {self._settings.masked} is no sentinel that we may ask: {reply.text}; "
                f"check the addresses in the URL, and sentinel_username= and sentinel_password="
            )
        return Address(reply[0].decode(), int(reply[1])) if reply else None

    async def _insist(self, link: Link, address: Address) -> None:
        # A primary that was cut off, or has just been replaced, is named for a while longer.
        hello = await link.call("HELLO", "2", timeout=CONNECT_TIMEOUT)
        if isinstance(hello, Refusal):
            raise Lost(hello.text)
        role = dict(zip(hello[::2], hello[1::2], strict=True))[b"role"]
        if role != b"master":
            raise Lost(f"{address} is not the primary, as the sentinel says, but a {role.decode()}")
