"""Opens connections to a server, logs in, and sends and receives bytes.

This is asyncio and hiredis without redis-py: its connections return replies, and offer no public way to the bytes
as they arrive.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from struct import unpack_from
from typing import Any, Final, cast

import hiredis

from aioq.errors import BrokerConfigError
from aioq_redis.client.errors import (
    TRANSIENT,
    ConnectionLost,
    ErrorReply,
    NotReady,
    Unreachable,
    access_denied,
    error_text,
)
from aioq_redis.client.tls import PATIENCE, answers_in_plain_text, answers_in_tls, tls_context, tls_error
from aioq_redis.client.url import CLUSTER, SENTINEL, SILENCE, Settings

__all__ = ["CONNECT_TIMEOUT", "Connection", "ask_once", "connect", "cut_off_closed_loops", "cut_off_inherited", "pack"]

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that closing a connection may take."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds to open a connection and to log in."""

OLDEST_REDIS: Final = (6, 2)

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a dead peer is noticed after 25 idle seconds."""

_CUT: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
"""Errors of the system when an open connection is cut."""

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


async def connect(settings: Settings) -> Connection:
    """Open a connection and log in.

    Raises:
        Unreachable: No server answers at the address.
        ConnectionLost: The server is not ready, or the connection broke.
        BrokerConfigError: The server's certificate is not valid, or the server rejects the login, is too old or is of
            another kind than the URL says.
    """
    # A client with little time, such as the keeper of short leases, tries anew rather than wait for a lost packet.
    limit = min(CONNECT_TIMEOUT, max(settings.silence, 1.0))
    try:
        async with asyncio.timeout(limit):
            connection = await _open(settings)
            try:
                await _log_in(connection, settings)
            except BaseException:
                connection.drop()
                raise
    except TimeoutError:
        raise Unreachable(f"no answer within {limit:g} s") from None
    return connection


async def ask_once(settings: Settings, *parts: object, timeout: float) -> Any:
    """Return the reply to one command on a new connection; an error that will not pass, as an `ErrorReply`.

    Raises:
        ConnectionLost: The reply did not come in `timeout` seconds, or the server is not ready.
        BrokerConfigError: As for `connect`.
    """
    try:
        async with asyncio.timeout(timeout):
            connection = await connect(settings)
            try:
                (reply,) = await connection.request(pack(parts))
            finally:
                connection.drop()
    except TimeoutError:
        raise ConnectionLost(f"no answer within {timeout:g} s") from None
    if isinstance(reply, ErrorReply) and reply.code in TRANSIENT:
        raise NotReady(reply)
    return reply


async def _open(settings: Settings) -> Connection:
    loop = asyncio.get_running_loop()
    new = partial(Connection, settings.silence)
    try:
        if settings.path:
            _, connection = await loop.create_unix_connection(new, settings.path)
        else:
            transport, connection = await (_open_tls(settings) if settings.tls else _open_plain(settings))
            # A server that rejects the client's certificate may have closed the connection by now.
            if (connected := transport.get_extra_info("socket")) is not None:
                _keep_alive(connected)
    # Something listens at the address, so another try may succeed, unlike after the errors below.
    except _CUT as error:
        raise ConnectionLost(error_text(error)) from None
    except OSError as error:
        raise Unreachable(error_text(error)) from None
    return connection


def _open_plain(settings: Settings) -> Coroutine[Any, Any, tuple[asyncio.Transport, Connection]]:
    new = partial(Connection, settings.silence)
    return asyncio.get_running_loop().create_connection(new, settings.host, settings.port)


async def _open_tls(settings: Settings) -> tuple[asyncio.Transport, Connection]:
    loop, new = asyncio.get_running_loop(), partial(Connection, settings.silence)
    opening = loop.create_connection(new, settings.host, settings.port, ssl=tls_context(settings))
    handshake = loop.create_task(opening, name="aioq.redis handshake")
    try:
        await asyncio.wait([handshake], timeout=PATIENCE)
        # A server without TLS waits for the end of a line, and says nothing.
        if not handshake.done() and await answers_in_plain_text(settings):
            raise _speaks_no_tls(settings)
        return await handshake
    except ssl.SSLError as error:
        raise tls_error(settings, error) from None
    except _CUT:
        if await answers_in_plain_text(settings):
            raise _speaks_no_tls(settings) from None
        raise
    finally:
        handshake.cancel()


def _speaks_no_tls(settings: Settings) -> BrokerConfigError:
    return BrokerConfigError(
        f"{settings.masked} does not speak TLS on this port; for a connection without TLS write redis:// in the URL"
    )


def _keep_alive(tcp: socket.socket) -> None:
    # A connection that waits in BLPOP is silent for long: without probes a dead peer looks like a quiet one.
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _own_name() -> str:
    """Return the name of the connections of this process: `aioq-<host>-<process id>`."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()[:40])
    return f"aioq-{host}-{os.getpid()}"


async def _log_in(connection: Connection, settings: Settings) -> None:
    # HELLO instead of AUTH: its reply also names role and version, which saves a round trip.
    login: tuple[object, ...] = ("HELLO", 2)
    if settings.username or settings.password:
        login += ("AUTH", settings.username or "default", settings.password or "")
    # CLIENT LIST then shows whose connection it is, at no further command.
    login += ("SETNAME", _own_name())
    commands = [login, ("SELECT", settings.db)] if settings.db else [login]
    try:
        replies = await connection.request(b"".join(map(pack, commands)), len(commands))
    except ConnectionLost as lost:
        raise await _explain(settings, lost) from None
    for reply in replies:
        if isinstance(reply, ErrorReply):
            raise NotReady(reply) if reply.code in TRANSIENT else access_denied(settings.masked, reply)
    connection.hello = dict(zip(replies[0][::2], replies[0][1::2], strict=True))
    _check_server(settings, connection.hello)


async def _explain(settings: Settings, lost: ConnectionLost) -> Exception:
    """Return the error for a connection that ended before the login was answered."""
    if not settings.tls:
        if settings.path or not await answers_in_tls(settings):
            return lost
        return BrokerConfigError(f"{settings.masked} speaks TLS on this port; write rediss:// in the URL")
    # A server that demands a certificate of the client says so only after the handshake of TLS 1.3. If it has not read
    # the login by then, the system resets the connection, and nothing else may arrive: so say nothing, and listen.
    if not isinstance(lost.__cause__, ssl.SSLError):
        connection = await _open(settings)
        await asyncio.wait([connection.ended], timeout=PATIENCE)
        connection.drop()
        lost = connection.ended.result() if connection.ended.done() else lost
    return tls_error(settings, lost.__cause__) if isinstance(lost.__cause__, ssl.SSLError) else lost


def _check_server(settings: Settings, hello: dict[bytes, Any]) -> None:
    """Raise an error if a server is too old, or of another kind than the URL says."""
    version, mode = hello[b"version"].decode(), hello[b"mode"]
    if mode == b"sentinel" and settings.kind == SENTINEL:
        return
    if mode == b"sentinel":
        raise BrokerConfigError(f"{settings.masked} is a sentinel; write redis+sentinel://host:port/service")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise BrokerConfigError(f"{settings.masked} is Redis {version}; aioq needs 6.2 or later, or Valkey")
    if mode == b"cluster" and settings.kind != CLUSTER:
        raise BrokerConfigError(f"{settings.masked} is a node of a cluster; write redis+cluster://host:port")
