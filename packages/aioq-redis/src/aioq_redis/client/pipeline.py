"""The one path on which commands go out: many callers, one connection, replies in order.

One task opens the connection, waits for its end, and closes it; commands and replies pass it
by. Cancelling a caller cancels only the future, and the reply that belongs to it is thrown
away when it comes. So a cancelled caller can never hand its reply to the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aioq.errors import AioqError
from aioq_redis.client.command import Command
from aioq_redis.client.connection import Link, Wire
from aioq_redis.client.errors import TRANSIENT, ConnectionLost, ErrorReply

__all__ = ["REPLY_TIMEOUT", "Pipeline"]

REPLY_TIMEOUT: Final = 5.0
"""Seconds without a reply that is due, after which the connection is given up."""

logger = logging.getLogger("aioq.redis")


class Pipeline:
    """Sends commands over one connection, which it opens when there is something to send.

    When the connection breaks, every command on its way fails with `ConnectionLost`, and the next
    one opens another.

    Args:
        dial: Opens a connection.
        name: Of the server, for logs.
        reroute: Is asked about each error that will pass; true when it has dealt with the command.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[Link]],
        name: str,
        reroute: Callable[[Command, ErrorReply], bool] | None = None,
    ) -> None:
        self._dial, self._name, self._reroute = dial, name, reroute
        self._loop = asyncio.get_running_loop()
        self._queue: list[Command] = []
        self._in_flight: deque[Command] = deque()
        self._owner: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        self._flushing = False
        self._watch: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._broken = False
        self._closed = False

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Return a future with the reply, or one that fails with `ConnectionLost`, `ErrorReply` or an error of aioq.

        It goes out at once; what else is submitted while replies are to come, and before the loop comes round
        again, follows in one.
        """
        if self._closed:
            command.fail(ConnectionLost("the connection was closed"))
            return command.future
        if self._wire is None or self._flushing:
            self._queue.append(command)
            if self._owner is None or self._owner.done():
                self._owner = self._loop.create_task(self._own(), name="aioq.redis pipeline")
        elif command.awaited():
            if self._in_flight:
                self._flushing = True
                self._loop.call_soon(self._follow)
            self._send(self._wire, (command,))
        return command.future

    async def close(self) -> None:
        """Close the connection; what is on its way fails with `ConnectionLost`."""
        self._closed = True
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.cancel()
            await asyncio.wait([owner])

    def _follow(self) -> None:
        self._flushing = False
        if self._wire is not None:
            self._flush(self._wire)

    def _flush(self, wire: Wire) -> None:
        batch = [command for command in self._queue if command.awaited()]
        self._queue.clear()
        if batch:
            self._send(wire, batch)

    def _send(self, wire: Wire, commands: Sequence[Command]) -> None:
        if not self._in_flight:
            self._heard = self._loop.time()
        self._in_flight.extend(commands)
        wire.write(b"".join([command.packed() for command in commands]))
        if self._watch is None:
            self._watch = self._loop.call_later(REPLY_TIMEOUT, self._look)

    async def _own(self) -> None:
        error: Exception = ConnectionLost("the connection was closed")
        try:
            link = await self._dial()
            self._say_connected()
            try:
                error = await self._exchange(link)
                self._say_lost(error)
                await link.drop()
            finally:
                await link.close()
        except (ConnectionLost, AioqError) as failure:
            error = failure
        finally:
            # No await from here on: a command that is submitted later must find this task done.
            self._fail_all(error)

    async def _exchange(self, link: Link) -> ConnectionLost:
        """Let commands pass until the connection is of no more use; return why."""
        self._wire = wire = link.hand_over(self._deliver)
        try:
            self._flush(wire)
            return await wire.ended
        finally:
            self._wire = None
            if self._watch is not None:
                self._watch.cancel()
                self._watch = None

    def _deliver(self, reply: Any) -> None:
        if not self._in_flight:
            raise ConnectionLost("a reply came that nobody asked for")
        command = self._in_flight.popleft()
        self._heard = self._loop.time()
        if not isinstance(reply, ErrorReply):
            command.answer(reply)
        elif reply.code == "NOSCRIPT" and command.send_whole():
            self.submit(command)
        elif reply.code in TRANSIENT:
            if self._reroute is not None and self._reroute(command, reply):
                return
            command.fail(ConnectionLost(reply.text))
            raise ConnectionLost(reply.text)
        else:
            command.fail(reply)

    def _look(self) -> None:
        """See whether a reply is overdue. One look in a while is cheaper than a timer for each reply."""
        self._watch = None
        if self._wire is None or not self._in_flight:
            return
        left = self._heard + REPLY_TIMEOUT - self._loop.time()
        if left <= 0:
            self._wire.end(ConnectionLost(f"no reply within {REPLY_TIMEOUT:g} s"))
        else:
            self._watch = self._loop.call_later(left, self._look)

    def _fail_all(self, error: Exception) -> None:
        lost = [*self._in_flight, *self._queue]
        self._in_flight.clear()
        self._queue.clear()
        for command in lost:
            # An error of its own for each waiter: its traceback grows where it is raised.
            command.fail(type(error)(*error.args))

    def _say_connected(self) -> None:
        if self._broken:
            logger.info("connected to %s again", self._name)
            self._broken = False

    def _say_lost(self, error: Exception) -> None:
        if not self._broken:
            logger.warning("lost the connection to %s: %s; reconnecting", self._name, error)
            self._broken = True
