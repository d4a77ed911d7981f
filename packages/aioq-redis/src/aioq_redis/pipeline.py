"""The one path on which commands go out: many callers, one connection, replies in order.

One task owns the connection. Callers leave a command and wait for its future; cancelling
a caller cancels only the future, and the reply that belongs to it is thrown away when it
comes. So a cancelled caller can never hand its reply to the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aioq.errors import AioqError
from aioq_redis.connection import Link, pack
from aioq_redis.errors import TRANSIENT, Lost, Refusal
from aioq_redis.scripts import Script

__all__ = ["REPLY_TIMEOUT", "Command", "Pipeline"]

REPLY_TIMEOUT: Final = 5.0
"""Seconds without a reply that is due, after which the connection is given up."""

logger = logging.getLogger("aioq.redis")


class Command:
    """One command on its way: a plain one, or a script by its digest."""

    __slots__ = ("_args", "_keys", "_script", "future", "hops", "packed")

    def __init__(self, script: Script | None, keys: Sequence[str], args: Sequence[object]) -> None:
        self._script, self._keys, self._args = script, keys, args
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.packed = self._pack("EVALSHA", script.sha) if script else pack((*keys, *args))
        self.hops = 0

    @property
    def key(self) -> Any:
        """One of the keys, which are all in one place; empty for a command without."""
        if self._script is not None:
            return self._keys[0]
        return self._args[1] if len(self._args) > 1 else ""

    def send_whole(self) -> bool:
        """Make a script that the server does not know one that brings its text along."""
        if self._script is None:
            return False
        self.packed = self._pack("EVAL", self._script.text)
        return True

    def answer(self, reply: object) -> None:
        """Hand the reply to whoever still waits for it."""
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Hand an error to whoever still waits."""
        if not self.future.done():
            self.future.set_exception(error)

    def _pack(self, verb: str, script: str) -> bytes:
        return pack((verb, script, len(self._keys), *self._keys, *self._args))


class Pipeline:
    """Sends commands over one connection, which it opens when there is something to send.

    When the connection breaks, every command on its way fails with `Lost`, and the next
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
        reroute: Callable[[Command, Refusal], bool] | None = None,
    ) -> None:
        self._dial, self._name, self._reroute = dial, name, reroute
        self._queue: deque[Command] = deque()
        self._in_flight: deque[Command] = deque()
        self._arrived = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._overdue = False
        self._broken = False
        self._closed = False

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Queue a command; the future is its reply, or fails with `Lost`, `Refusal` or an error of aioq."""
        if self._closed:
            command.fail(Lost("the connection was closed"))
            return command.future
        self._queue.append(command)
        self._arrived.set()
        if self._owner is None or self._owner.done():
            self._owner = asyncio.get_running_loop().create_task(self._own(), name="aioq.redis pipeline")
        return command.future

    async def close(self) -> None:
        """Close the connection; what is on its way fails with `Lost`."""
        self._closed = True
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.cancel()
            await asyncio.wait([owner])

    async def _own(self) -> None:
        error: Exception = Lost("the connection was closed")
        try:
            link = await self._dial()
            self._say_connected()
            try:
                await self._exchange(link)
            except Lost as failure:
                self._say_lost(failure)
                await link.drop()
                raise
            finally:
                await link.close()
        except (Lost, AioqError) as failure:
            error = failure
        finally:
            # No await from here on: a command that is submitted later must find this task done.
            self._fail_all(error)

    async def _exchange(self, link: Link) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(link), name="aioq.redis reader")
                tasks.create_task(self._write(link, reader), name="aioq.redis writer")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._expect_reply(None)

    async def _write(self, link: Link, reader: asyncio.Task[None]) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch = [command for command in self._queue if not command.future.done()]
            self._queue.clear()
            if batch:
                if not self._in_flight:
                    self._expect_reply(reader)
                self._in_flight.extend(batch)
                await link.write(b"".join(command.packed for command in batch))

    async def _read(self, link: Link) -> None:
        reader = asyncio.current_task()
        self._overdue = False
        try:
            while True:
                self._deliver(await link.read())
                self._expect_reply(reader if self._in_flight else None)
        except asyncio.CancelledError:
            if self._overdue:
                raise Lost(f"no reply within {REPLY_TIMEOUT:g} s") from None
            raise

    def _deliver(self, reply: object) -> None:
        if not self._in_flight:
            raise Lost("a reply came that nobody asked for")
        command = self._in_flight.popleft()
        if not isinstance(reply, Refusal):
            command.answer(reply)
        elif reply.code == "NOSCRIPT" and command.send_whole():
            self._queue.append(command)
            self._arrived.set()
        elif reply.code in TRANSIENT:
            if self._reroute is not None and self._reroute(command, reply):
                return
            command.fail(Lost(reply.text))
            raise Lost(reply.text)
        else:
            command.fail(reply)

    def _expect_reply(self, reader: asyncio.Task[None] | None) -> None:
        """Give the next reply its time, or, without a reader, stop waiting for one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if reader is not None:
            self._timer = asyncio.get_running_loop().call_later(REPLY_TIMEOUT, self._give_up, reader)

    def _give_up(self, reader: asyncio.Task[None]) -> None:
        self._overdue = True
        reader.cancel()

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
