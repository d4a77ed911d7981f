"""Waking those who wait: for work, for a result, for word that a job was called off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aioq_redis.client.errors import ConnectionLost, ErrorReply
from aioq_redis.client.pubsub import Inbox
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import milliseconds

__all__ = ["Waiting"]

logger = logging.getLogger("aioq.redis")

POLL: Final = 0.5
"""Seconds between looks at a job when its end will not be told."""

MARGIN: Final = 60.0
"""Seconds for which it is remembered who waits for a result, beyond the end of the wait."""


class Waiting:
    """What the broker does to give signals."""

    def __init__(self, server: Database, layout: Layout) -> None:
        self._server, self._layout = server, layout
        self._said_deaf = False

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""
        session, space = self._server.session, self._layout.queue(queue)
        loop = session.loop
        deadline = loop.time() + timeout
        async with self._listen(space.key(f"end:{job_id}")) as inbox:
            while True:
                left = max(0.0, deadline - loop.time())
                if await self._server.call("await_end", space, (job_id, milliseconds(left + MARGIN))):
                    return True
                if left == 0:
                    return False
                if await _message(inbox, min(left, POLL) if inbox.deaf else left):
                    return True
                if session.closed:
                    raise self._server.unavailable("the connection was closed")

    async def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield cancelled jobs of a worker; see `aioq.protocols.Signals.aborts`."""
        async with self._listen(self._layout.fleet.key(f"abort:{worker_id}")) as inbox:
            while True:
                # After a lost connection nothing can be made up for: the lease will tell.
                message = await inbox.messages.get()
                if message is not None:
                    yield message.decode("ascii", "backslashreplace")

    @asynccontextmanager
    async def _listen(self, channel: str) -> AsyncGenerator[Inbox]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._server.timeout):
                    inbox = await stack.enter_async_context(self._server.session.channels.listen(channel))
            except TimeoutError:
                raise self._server.unavailable("no answer to SUBSCRIBE") from None
            except ConnectionLost as error:
                raise self._server.unavailable(str(error)) from None
            except ErrorReply as refusal:
                if refusal.code != "NOPERM":
                    raise self._server.refused("SUBSCRIBE", refusal) from None
                self._say_deaf(refusal)
                inbox = Inbox(deaf=True)
            yield inbox

    def _say_deaf(self, refusal: ErrorReply) -> None:
        if not self._said_deaf:
            self._said_deaf = True
            logger.warning(
                "%s does not let us listen, so results are polled for and cancelled jobs are noticed late: %s",
                self._server.name,
                refusal.text,
            )


async def _message(inbox: Inbox, seconds: float) -> bytes | None:
    """Return the next message; None when there is none in time, or when one may have been missed."""
    try:
        async with asyncio.timeout(seconds):
            return await inbox.messages.get()
    except TimeoutError:
        return None
