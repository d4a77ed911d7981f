"""Waking those who wait: for work, for a result, for word that a job was called off."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from operator import itemgetter
from typing import Final

from aioq_redis.backoff import pause_before
from aioq_redis.channels import Inbox
from aioq_redis.command import Command
from aioq_redis.errors import Lost, Refusal
from aioq_redis.keeping import milliseconds
from aioq_redis.keys import Layout
from aioq_redis.scripts import load
from aioq_redis.server import Server, together
from aioq_redis.session import Session

__all__ = ["Waiting"]

logger = logging.getLogger("aioq.redis")

SHORTEST_BLOCK: Final = 0.01
"""Seconds; the server takes 0 for ever."""

POLL: Final = 0.5
"""Seconds between looks at a job when its end will not be told."""

EARLIEST: Final = 0.002
"""Seconds after the moment of a job at which it is certainly due: the server counts milliseconds."""

LATE: Final = 0.25
"""Seconds after which nobody has been woken for a job, and the wait ends by itself."""

MARGIN: Final = 60.0
"""Seconds for which it is remembered who waits for a result, beyond the end of the wait."""


class Waiting:
    """What the broker does to give signals."""

    def __init__(self, server: Server, layout: Layout) -> None:
        self._server, self._layout = server, layout
        self._said_deaf = False

    async def wait_for_work(self, queues: Sequence[str], *, timeout: float) -> bool:
        """Wait until a job may be claimed; see `aioq.protocols.Signals.wait_for_work`."""
        session = self._server.session
        deadline = session.loop.time() + timeout
        for attempt in count():
            nearest, due = await self._next_due(queues)
            left = deadline - session.loop.time()
            if due <= 0 or left <= 0:
                return due <= 0
            # Nobody else may be awake when the job comes due, and the server ends a block up to 0.1 s late.
            soon = due < left + LATE
            alarm = session.loop.call_later(due + EARLIEST, self._nudge, session, nearest) if soon else None
            try:
                return await self._block(session, queues, due + LATE if soon else left) or soon
            except Lost:
                if session.closed:
                    return False
                await asyncio.sleep(pause_before(attempt))
            finally:
                if alarm is not None:
                    alarm.cancel()
        raise AssertionError("unreachable")

    async def _block(self, session: Session, queues: Sequence[str], seconds: float) -> bool:
        keys = [self._layout.queue(queue).key("wake") for queue in queues]
        try:
            return await session.blocking.pop(keys, max(seconds, SHORTEST_BLOCK))
        except Refusal as refusal:
            raise self._server.refused("BLPOP", refusal) from None

    def _nudge(self, session: Session, queue: str) -> None:
        """Wake a worker for a job that has come due, most likely the one that asks for it."""
        script = load("nudge")
        command = Command(script, self._layout.queue(queue).pick(script.keys), ())
        # When it fails the block ends by itself a little later.
        session.pipeline.submit(command).add_done_callback(lambda reply: reply.cancelled() or reply.exception())

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""
        loop, space = self._server.session.loop, self._layout.queue(queue)
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

    async def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield cancelled jobs of a worker; see `aioq.protocols.Signals.aborts`."""
        async with self._listen(self._layout.fleet.key(f"abort:{worker_id}")) as inbox:
            while True:
                # After a lost connection nothing can be made up for: the lease will tell.
                message = await inbox.messages.get()
                if message is not None:
                    yield message.decode("ascii", "backslashreplace")

    async def _next_due(self, queues: Sequence[str]) -> tuple[str, float]:
        """Return the queue whose next job may be claimed first, and in how many seconds; infinity when none may."""
        calls = (self._server.call("peek", self._layout.queue(queue), ()) for queue in queues)
        waits = [math.inf if wait < 0 else wait / 1000 for wait in await together(calls)]
        return min(zip(queues, waits, strict=True), key=itemgetter(1), default=("", math.inf))

    @asynccontextmanager
    async def _listen(self, channel: str) -> AsyncGenerator[Inbox]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._server.timeout):
                    inbox = await stack.enter_async_context(self._server.session.channels.listen(channel))
            except TimeoutError:
                raise self._server.unavailable("no answer to SUBSCRIBE") from None
            except Lost as error:
                raise self._server.unavailable(str(error)) from None
            except Refusal as refusal:
                if refusal.code != "NOPERM":
                    raise self._server.refused("SUBSCRIBE", refusal) from None
                self._say_deaf(refusal)
                inbox = Inbox(deaf=True)
            yield inbox

    def _say_deaf(self, refusal: Refusal) -> None:
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
