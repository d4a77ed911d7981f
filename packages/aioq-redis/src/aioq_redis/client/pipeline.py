"""Commands, and the pipeline that sends those of many callers on one connection and gives each caller its reply.

One task opens the connection, waits for its end and closes it; commands and replies do not pass through it.
A cancelled caller only cancels its future, and the reply is discarded when it arrives. So a cancelled caller can
never shift the replies of the others.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from aioq.errors import AioqError
from aioq_redis.client.connection import Connection, pack
from aioq_redis.client.errors import TRANSIENT, ConnectionLost, ErrorReply, NotReady
from aioq_redis.client.reconnect import ReconnectPace

__all__ = ["SHORT", "Command", "Pipeline", "Script", "SingleServer", "milliseconds", "script_call"]

SHORT: Final = 65536
"""Bytes of a script call, above which it has the text of the script in any case: a server that does not know the script
would have to get all of it twice."""

_WITH_SUBCOMMAND: Final = frozenset({"MEMORY"})
"""Plain commands whose key comes after the name of a subcommand."""

logger = logging.getLogger("aioq.redis")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script: its text, the SHA-1 of the text, and the names of its keys in order."""

    name: str
    text: str
    sha: str
    keys: tuple[str, ...]


def script_call(script: Script, whole: bool) -> tuple[str, str]:
    """Return the first words of a script's call: with its text if `whole`, otherwise with its SHA-1."""
    return ("EVAL", script.text) if whole else ("EVALSHA", script.sha)


@lru_cache(maxsize=1024)
def milliseconds(seconds: float) -> int:
    """Return a duration or a moment as commands take it: rounded up, so that nothing is due early; at least 0."""
    # 0.6 s may arrive as 0.6000000000000001 s, which must not become a millisecond more.
    return max(0, math.ceil(seconds * 1000 - 0.001))


def _new_future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Command:
    """A plain command, or the call of a script."""

    script: Script | None
    keys: Sequence[str]
    args: Sequence[object]
    future: asyncio.Future[Any] = field(default_factory=_new_future)
    """The reply or the error."""
    hops: int = 0
    """How often a node of a cluster has sent the command on."""
    whole: bool = False
    """Whether to send the script's text, because the server does not know its SHA-1."""

    @property
    def key(self) -> Any:
        """One of the keys, which are all in one hash slot; empty for a command without keys."""
        if self.script is not None:
            return self.keys[0]
        at = 2 if self.args[0] in _WITH_SUBCOMMAND else 1
        return self.args[at] if len(self.args) > at else ""

    def awaited(self) -> bool:
        """Return whether to send the command: a caller waits for the reply, or an ASKING went before it."""
        return self.hops > 0 or not self.future.done()

    def packed(self) -> bytes:
        """Return the bytes to send."""
        if self.script is None:
            return pack((*self.keys, *self.args))
        data = pack((*script_call(self.script, self.whole), len(self.keys), *self.keys, *self.args))
        if len(data) <= SHORT or self.whole:
            return data
        self.whole = True
        return self.packed()

    def send_whole(self) -> bool:
        """Send the script's text next time; return False for a plain command."""
        self.whole = self.script is not None
        return self.whole

    def answer(self, reply: Any) -> None:
        """Give the reply to the caller, if it still waits."""
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Give an error to the caller, if it still waits."""
        if not self.future.done():
            self.future.set_exception(error)


class Pipeline:
    """Sends commands on one connection, which it opens for the first command.

    When the connection breaks, the commands under way fail with `ConnectionLost`, and the next
    command opens another one.

    Args:
        connect: Opens a connection.
        name: The server's, for logs.
        reroute: Called with a command and its transient error; returns True if it took the command over.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        name: str,
        reroute: Callable[[Command, ErrorReply], bool] | None = None,
    ) -> None:
        self._connect = connect
        self._name = name
        self._reroute = reroute
        self._loop = asyncio.get_running_loop()
        self._queue: list[Command] = []
        self._in_flight: deque[Command] = deque()
        self._owner: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_since = 0.0
        self._lost = False
        self._pace = ReconnectPace()
        self._closed = False

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command; see `Sender.submit`.

        A command goes out at once. What is submitted while replies are due, and before the next
        iteration of the event loop, goes out together.
        """
        if self._closed:
            command.fail(ConnectionLost("the connection was closed"))
            return command.future
        if self._connection is None or self._flushing:
            self._queue.append(command)
            if self._owner is None or self._owner.done():
                self._owner = self._loop.create_task(self._run(), name="aioq.redis pipeline")
        else:
            if self._in_flight:
                self._flushing = True
                self._loop.call_soon(self._flush_later)
            self._send(self._connection, (command,))
        return command.future

    def alive_until(self, command: Command | None) -> float:
        """Return until when a reply may still come; see `Sender.alive_until`."""
        connection = self._connection
        if connection is None or not self._in_flight or not (command is None or command in self._in_flight):
            return -math.inf
        return connection.alive_until(-math.inf)

    async def close(self) -> None:
        """Close the connection; commands under way fail with `ConnectionLost`."""
        self._closed = True
        owner, self._owner = self._owner, None
        if owner is not None:
            # The task that owns the connection closes it: it has to fail the commands that have no reply yet.
            owner.cancel()
            await asyncio.wait([owner])

    def _flush_later(self) -> None:
        self._flushing = False
        if self._connection is not None:
            self._flush(self._connection)

    def _flush(self, connection: Connection) -> None:
        commands = [command for command in self._queue if command.awaited()]
        self._queue.clear()
        if commands:
            self._send(connection, commands)

    def _send(self, connection: Connection, commands: Sequence[Command]) -> None:
        if not self._in_flight:
            self._waiting_since = self._loop.time()
        # Before the write: the replies come in the order of the commands, and nothing else says which is whose.
        self._in_flight.extend(commands)
        # One write for all: each one is a system call, which costs more than packing a command.
        connection.write(b"".join([command.packed() for command in commands]))
        if self._timer is None:
            self._timer = self._loop.call_later(connection.check_every, self._check)

    async def _run(self) -> None:
        error: Exception = ConnectionLost("the connection was closed")
        try:
            if self._pace.failed_at > -math.inf:
                await self._pace.wait()
            connection = await self._connect()
            try:
                error = await self._exchange(connection)
                self._log_lost(error)
                connection.drop()
            finally:
                await connection.close()
        except (ConnectionLost, AioqError) as failure:
            self._pace.note_failure()
            error = failure
        finally:
            # No await from here on: `submit` must not find this task running once its commands have failed.
            self._fail_all(error)

    async def _exchange(self, connection: Connection) -> ConnectionLost:
        """Send and receive until the connection cannot be used any more; return why."""
        connection.on_reply = self._deliver_first if self._lost else self._deliver
        self._connection = connection
        try:
            self._flush(connection)
            return await connection.ended
        finally:
            self._connection = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _deliver_first(self, reply: Any) -> None:
        """Deliver replies until one shows that the server works again, and log that."""
        # Not as soon as the connection is open: a server that accepts connections and cuts them would fill the log.
        if self._connection is not None and not (isinstance(reply, ErrorReply) and reply.code in TRANSIENT):
            self._connection.on_reply = self._deliver
            self._lost = False
            logger.warning("connected to %s again", self._name, extra={"event": "connection_restored"})
        self._deliver(reply)

    def _deliver(self, reply: Any) -> None:
        if not self._in_flight:
            raise ConnectionLost("a reply came without a command")
        command = self._in_flight.popleft()
        if not isinstance(reply, ErrorReply):
            command.answer(reply)
        # The server has restarted, or its scripts were flushed. Sending the text also loads the script again.
        elif reply.code == "NOSCRIPT" and command.send_whole():
            if command.awaited():
                self.submit(command)
        elif reply.code in TRANSIENT:
            if self._reroute is not None and self._reroute(command, reply):
                return
            error = NotReady(reply)
            command.fail(error)
            # The callers of the other commands get an error of their own, which says that the connection is gone.
            if self._pace.may_leave(error):
                raise NotReady(reply)
        else:
            command.fail(reply)

    def _check(self) -> None:
        """Give up the connection if a reply is overdue. One timer for all replies is cheaper than one for each."""
        self._timer = None
        connection = self._connection
        if connection is None or not self._in_flight:
            return
        left = connection.alive_until(self._waiting_since) - self._loop.time()
        if left <= 0:
            connection.end(connection.overdue())
        else:
            self._timer = self._loop.call_later(min(left, connection.check_every), self._check)

    def _fail_all(self, error: Exception) -> None:
        commands = [*self._in_flight, *self._queue]
        self._in_flight.clear()
        self._queue.clear()
        for command in commands:
            # Each caller gets an error of its own: the traceback grows wherever it is raised.
            command.fail(type(error)(*error.args))

    def _log_lost(self, error: Exception) -> None:
        if isinstance(error, NotReady):
            # The connection was in order, and the callers log what the server has answered.
            logger.debug("left %s: %s", self._name, error, extra={"event": "connection_left"})
        elif not self._lost:
            logger.warning(
                "lost the connection to %s: %s; reconnecting", self._name, error, extra={"event": "connection_lost"}
            )
            self._lost = True


class SingleServer:
    """The route to one server.

    Args:
        connect: Opens a connection to it.
        name: The server's, for logs.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], name: str) -> None:
        self._connect = connect
        self._name = name
        self.commands = Pipeline(connect, name)

    def place(self, key: str | bytes) -> int:
        """Return the only place."""
        return 0

    async def connect(self, place: int) -> Connection:
        """Open a connection; see `routing.Route.connect`."""
        return await self._connect()

    def suspect(self) -> None:
        """Do nothing: there is no other server."""

    def away(self, key: str | bytes) -> str:
        """Return nothing: there is no other server that could be reached."""
        return ""

    def note_away(self, key: str | bytes, reason: str) -> None:
        """Do nothing; see `away`."""

    def note_server_away(self, server: str, reason: str) -> None:
        """Do nothing; see `away`."""

    async def servers(self) -> Mapping[str, Pipeline]:
        """Return the sender to the server; see `routing.Route.servers`."""
        return {self._name: self.commands}

    def close(self) -> Coroutine[Any, Any, None]:
        """Close the connection for commands."""
        return self.commands.close()
