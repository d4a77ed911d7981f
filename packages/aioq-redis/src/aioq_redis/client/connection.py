"""An open connection to a server: sends bytes, and delivers the replies.

This is asyncio and hiredis without redis-py: its connections return replies, and offer no public way to the bytes
as they arrive.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import sys
from collections.abc import Callable
from struct import unpack_from
from typing import Any, Final, cast

import hiredis

from aioq_redis.client.errors import ConnectionLost, ErrorReply, error_text
from aioq_redis.client.url import SILENCE

__all__ = ["Connection", "cut_off_closed_loops", "cut_off_inherited", "pack"]

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that closing a connection may take."""

BACKLOG: Final = 16 * 1024
"""Bytes that must be waiting to leave if their departure counts as a sign of life. A server that hangs still accepts a
few bytes, because its system does."""

CHECKS: Final = 5
"""How often a connection is checked for signs of life in the time for which it may be silent."""

# Linux counts for each TCP connection which bytes the peer has confirmed. The places are those of `struct tcp_info` in
# linux/tcp.h, which only grows at its end. Other systems have no such option, and Unix sockets answer with an error.
_TCP_INFO: Final = getattr(socket, "TCP_INFO", -1) if sys.platform == "linux" else -1
_TCP_SEGMENTS_AT: Final = 16
_TCP_CONFIRMED_AT: Final = 120
_TCP_UNSENT_AT: Final = 144
_TCP_INFO_SIZE: Final = 148

_NO_REPLY: Final = object()

_Parser: Any = cast("Any", hiredis).Reader
_ReplyError: type[Exception] = cast("Any", hiredis).ReplyError
_ProtocolError: type[Exception] = cast("Any", hiredis).ProtocolError

pack: Callable[[tuple[object, ...]], bytes] = cast("Any", hiredis).pack_command
"""Return a command as the bytes that are sent."""


class Connection(asyncio.Protocol):
    """An open connection.

    Use it in one of two ways: set `on_reply` and call `write`, or call `request`, one call at a time.
    After an error or a cancelled `request` close it, because replies may still be on their way.

    Attributes:
        on_reply: Called with each reply, an `ErrorReply` for an error; may raise `ConnectionLost`.
        ended: Set to the reason when the connection cannot be used any more.
        heard_at: When bytes last arrived, on the clock of the event loop.
        check_every: Seconds between two looks at `alive_until`, if it must not miss bytes that leave.
        hello: What the server said about itself at the login.

    Args:
        silence: Seconds without a byte after which the connection is given up, if a reply is due.
    """

    def __init__(self, silence: float = SILENCE) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = _Parser(notEnoughData=_NO_REPLY)
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._replies: list[Any] = []
        self._expected = 0
        self._more: Callable[[Any], bool] | None = None
        self._complete: asyncio.Future[None] | None = None
        self.on_reply: Callable[[Any], None] = self._collect
        self.ended: asyncio.Future[ConnectionLost] = self._loop.create_future()
        self.heard_at = self._loop.time()
        self.silence = silence
        self.check_every = silence / CHECKS
        self._left_at = -math.inf
        self._departed = 0
        self._backlog = 0
        self.hello: dict[bytes, Any] = {}

    def write(self, data: bytes) -> None:
        """Send bytes; the caller waits for replies, not for the bytes to leave."""
        self._transport.write(data)

    async def request(
        self, data: bytes, replies: int = 1, *, wait: float = 0.0, more: Callable[[Any], bool] | None = None
    ) -> list[Any]:
        """Send commands and return their replies.

        Args:
            data: The packed commands.
            replies: How many replies to wait for, including those of what is sent by `write` meanwhile.
            wait: Seconds that the commands make the server wait; silence counts from then on.
            more: Called with each reply but the last; returns False if no other will come.

        Raises:
            ConnectionLost: The connection broke, or was silent for too long.
        """
        if self.ended.done():
            raise self.ended.result()
        self._replies = []
        self._expected = replies
        self._more = more
        self._complete = self._loop.create_future()
        self._transport.write(data)
        # It ends the connection and not only the request, whose reply may still come and would be taken for the next
        # one.
        self._alarm = self._loop.call_later(wait + self.check_every, self._check, self._loop.time() + wait)
        try:
            await self._complete
        finally:
            self._alarm.cancel()
        return self._replies

    def alive_until(self, since: float) -> float:
        """Return when the connection has been silent for too long, on the clock of the event loop.

        Bytes count that arrive, and bytes of a backlog that leave, as seen since the last call.

        Args:
            since: When the silence began at the earliest.
        """
        departed, backlog = self._departures()
        if departed > self._departed and self._backlog >= BACKLOG:
            self._left_at = self._loop.time()
        self._departed = departed
        self._backlog = backlog
        return max(since, self.heard_at, self._left_at) + self.silence

    def loop_is_closed(self) -> bool:
        """Return whether the event loop of the connection was closed before the connection."""
        return self._loop.is_closed()

    def overdue(self) -> ConnectionLost:
        """Return the reason to give up a connection that was silent for too long."""
        return ConnectionLost(f"no reply within {self.silence:g} s")

    def end(self, reason: ConnectionLost) -> None:
        """Deliver no more replies, and fail the request that waits."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        if self._complete is not None and not self._complete.done():
            self._complete.set_exception(reason)

    def drop(self) -> None:
        """Close the connection at once; unsent bytes are lost."""
        if self._loop.is_closed():
            self.cut_off()
        else:
            self._transport.abort()

    async def close(self) -> None:
        """Close the connection and wait until it is closed, at most `CLOSE_TIMEOUT` seconds."""
        if not self._loop.is_closed():
            self._transport.close()
            # With TLS a dead peer never answers the shutdown, and the transport would stay open.
            await asyncio.wait([self._closed], timeout=CLOSE_TIMEOUT)
        self.drop()

    def cut_off(self) -> None:
        """Close the connection in this process without its event loop, which is closed or belongs to another process.

        An unconnected socket takes its descriptor. The transport closes that when it is deleted.
        """
        _open_connections.discard(self)
        descriptor = self._descriptor()
        # uvloop closes the descriptors of a loop with the loop, and something else may have this one by now.
        if self._file is not None and _file_of(descriptor) == self._file:
            with socket.socket() as unconnected:
                os.dup2(unconnected.fileno(), descriptor, inheritable=False)

    def _descriptor(self) -> int:
        connected = self._transport.get_extra_info("socket")
        return -1 if connected is None else int(connected.fileno())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._file = _file_of(self._descriptor())
        _open_connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse bytes and deliver the replies that are complete; called by the event loop."""
        self.heard_at = self._loop.time()
        self._parser.feed(data)
        try:
            # `on_reply` may end the connection. What comes after that would go to commands that have failed already.
            while not self.ended.done() and (reply := self._parser.gets()) is not _NO_REPLY:
                self.on_reply(ErrorReply(str(reply)) if isinstance(reply, _ReplyError) else reply)
        except ConnectionLost as lost:
            self.end(lost)
        except _ProtocolError as error:
            self.end(ConnectionLost(f"the server broke the protocol: {error_text(error)}"))

    def eof_received(self) -> bool:
        """Note that the server closes the connection; called by the event loop."""
        self.end(ConnectionLost("the server closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is closed; called by the event loop."""
        _open_connections.discard(self)
        lost = ConnectionLost(error_text(exc) if exc else "the connection was closed")
        lost.__cause__ = exc
        self.end(lost)
        if not self._closed.done():
            self._closed.set_result(None)

    def _check(self, since: float) -> None:
        left = self.alive_until(since) - self._loop.time()
        if left <= 0:
            self.end(self.overdue())
        else:
            self._alarm = self._loop.call_later(min(left, self.check_every), self._check, since)

    def _departures(self) -> tuple[int, int]:
        """Return how many bytes have left so far, counted from any number, and how many have not."""
        # The event loop counts the bytes that it holds. Megabytes of others wait in the system's buffer.
        waiting = self._transport.get_write_buffer_size()
        try:
            tcp = self._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_SIZE)
        except (OSError, AttributeError):
            return -waiting, waiting
        if len(tcp) < _TCP_INFO_SIZE:
            return -waiting, waiting
        segment, _, unconfirmed = unpack_from("=3I", tcp, _TCP_SEGMENTS_AT)
        (confirmed,) = unpack_from("=Q", tcp, _TCP_CONFIRMED_AT)
        (unsent,) = unpack_from("=I", tcp, _TCP_UNSENT_AT)
        return confirmed, waiting + unsent + unconfirmed * segment

    def _collect(self, reply: Any) -> None:
        if self._complete is None or self._complete.done():
            return
        self._replies.append(reply)
        if len(self._replies) == self._expected or (self._more is not None and not self._more(reply)):
            self._complete.set_result(None)


_open_connections: set[Connection] = set()
_inherited: list[Connection] = []


def cut_off_closed_loops() -> None:
    """Close the connections of event loops that were closed before them."""
    for connection in list(_open_connections):
        if connection.loop_is_closed():
            connection.cut_off()


def cut_off_inherited() -> None:
    """Close the connections that a forked process has from its parent; the parent's stay open."""
    # Kept, with the tasks that wait for them: in this process they never end, and asyncio logs tasks that vanish.
    _inherited.extend(_open_connections)
    for connection in list(_open_connections):
        connection.cut_off()


def _file_of(descriptor: int) -> tuple[int, int] | None:
    """Return the identity of an open file; None if the descriptor is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
