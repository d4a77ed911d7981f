"""One connection to the server: redis-py opens it, we say when to give it up.

Of redis-py only the connection is used, with retries off: whether to repeat a command is
decided by who knows whether it may be repeated.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis
from redis import exceptions
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from aioq.errors import BrokerConfigError
from aioq.serialization.failure import one_line
from aioq_redis.client.errors import (
    TRANSIENT,
    ConnectionLost,
    ErrorReply,
    Unreachable,
    error_reply_of,
    error_text,
    parse_error,
)
from aioq_redis.client.url import Settings

__all__ = ["BROKEN", "CONNECT_TIMEOUT", "Link", "Wire", "arguments", "ask", "dial", "access_denied", "pack", "why"]

CONNECT_TIMEOUT: Final = 5.0
"""Seconds to open a connection and to be let in."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that the other side has to say goodbye."""

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a peer that is gone is noticed after 25 seconds of idling."""

BROKEN: Final = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, OSError, EOFError)
"""What redis-py raises when a connection is of no more use."""

CUT: Final = ConnectionResetError | ConnectionAbortedError | BrokenPipeError
"""What the system raises when a connection that was open is cut."""

logger = logging.getLogger("aioq.redis")

pack: Callable[[tuple[object, ...]], bytes] = cast("Any", hiredis).pack_command
"""Return a command as the bytes that go over the wire."""


class Link:
    """An open connection: bytes out, replies in. One task may write while another reads."""

    def __init__(self, connection: Connection | UnixDomainSocketConnection) -> None:
        # What redis-py says of its types differs from release to release.
        self._connection: Any = connection

    async def write(self, data: bytes) -> None:
        """Send commands.

        Raises:
            ConnectionLost: The connection is gone.
        """
        try:
            await self._connection.send_packed_command(data, check_health=False)
        except BROKEN as error:
            raise ConnectionLost(error_text(error)) from None

    async def read(self) -> Any:
        """Return the next reply; an error reply is returned as a `ErrorReply`, not raised.

        Raises:
            ConnectionLost: The connection is gone, or the server is loading its data.
        """
        try:
            return await self._connection.read_response()
        except exceptions.AuthenticationError as error:
            return error_reply_of(error)
        except BROKEN as error:
            raise ConnectionLost(error_text(error)) from None
        except exceptions.RedisError as error:
            return error_reply_of(error)

    async def call(self, *parts: object, timeout: float) -> Any:
        """Send one command on a connection that nobody else uses, and return its reply as `read` does.

        Raises:
            ConnectionLost: The connection is gone, or the reply does not come in `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.write(pack(parts))
                return await self.read()
        except TimeoutError:
            raise ConnectionLost(f"no reply to {parts[0]} within {timeout:g} s") from None

    def hand_over(self, deliver: Callable[[Any], None]) -> Wire:
        """Let a wire have whatever comes in from now on; `read` and `write` are not for use any more."""
        return Wire(self._connection._writer.transport, deliver)  # noqa: SLF001  # redis-py has no other way to it

    async def drop(self) -> None:
        """Close at once, without a wait, so that a cancelled task can do it."""
        await _disconnect(self._connection, nowait=True)

    async def close(self) -> None:
        """Close, and wait a moment until it is."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await _disconnect(self._connection, nowait=False)
        except TimeoutError:
            await self.drop()


async def dial(settings: Settings) -> Link:
    """Open a connection and log in.

    Raises:
        Unreachable: Nobody answers.
        ConnectionLost: The server is not ready, or the connection broke at once.
        BrokerConfigError: The server is not who it should be, or does not let us in.
    """
    connection = _connection(settings)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await connection.connect()  # type: ignore[no-untyped-call]
    except TimeoutError:
        await _disconnect(connection, nowait=True)
        raise Unreachable(f"no answer within {CONNECT_TIMEOUT:g} s") from None
    except exceptions.RedisError as error:
        await _disconnect(connection, nowait=True)
        raise why(error, settings) from None
    except BaseException:
        await _disconnect(connection, nowait=True)
        raise
    return Link(connection)


async def ask(settings: Settings, *parts: object, timeout: float) -> Any:
    """Return the reply to one command on a connection of its own; an error that will not pass, as a `ErrorReply`.

    Raises:
        ConnectionLost: Nobody answers in `timeout` seconds, connecting included, or the server is not ready.
        BrokerConfigError: As for `dial`.
    """
    try:
        async with asyncio.timeout(timeout):
            link = await dial(settings)
            try:
                reply = await link.call(*parts, timeout=timeout)
            finally:
                await link.drop()
    except TimeoutError:
        raise ConnectionLost(f"no answer within {timeout:g} s") from None
    if isinstance(reply, ErrorReply) and reply.code in TRANSIENT:
        raise ConnectionLost(reply.text)
    return reply


def _connection(settings: Settings) -> Connection | UnixDomainSocketConnection:
    kind = UnixDomainSocketConnection if settings.path else SSLConnection if settings.tls else Connection
    # Our own deadlines cover whole operations; a timer for each write and read costs more than it tells.
    return kind(**arguments(settings), socket_timeout=None, retry=Retry(NoBackoff(), 0))


def arguments(settings: Settings) -> dict[str, Any]:
    """Return what redis-py is told of a server, for connections of both kinds, with asyncio and without."""
    common: dict[str, Any] = {
        "db": settings.db,
        "username": settings.username,
        "password": settings.password,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "protocol": 2,
    }
    if settings.path:
        return common | {"path": settings.path}
    common |= {
        "host": settings.host,
        "port": settings.port,
        "socket_keepalive": True,
        "socket_keepalive_options": {
            getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)
        },
    }
    if not settings.tls:
        return common
    return common | {
        "ssl_cert_reqs": "required" if settings.verify else "none",
        "ssl_check_hostname": settings.verify,
        "ssl_ca_certs": settings.ca_certs,
        "ssl_certfile": settings.certfile,
        "ssl_keyfile": settings.keyfile,
    }


def why(error: exceptions.RedisError, settings: Settings) -> Exception:
    """Return what a failed attempt to connect means."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return BrokerConfigError(
                f"{settings.masked} did not prove who it is: {error_text(cause)}; "
                f"check the host name, and name the authority's file as ssl_ca_certs= in the URL"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, exceptions.ResponseError | exceptions.AuthenticationError):
        refusal = error_reply_of(error)
        if refusal.code not in TRANSIENT:
            return access_denied(settings.masked, refusal)
        return ConnectionLost(refusal.text)
    # redis-py puts errors of its own in the place of the system's, in the course of which it raises them.
    met = isinstance(error, exceptions.ConnectionError) and isinstance(error.__context__, CUT | None)
    return (ConnectionLost if met else Unreachable)(error_text(error))


def access_denied(where: str, refusal: ErrorReply) -> BrokerConfigError:
    """Return the error for a server that does not let us in: some say so at once, others to the first command."""
    return BrokerConfigError(
        f"{where} does not let us in: {refusal.text}; check user name, password and database in the URL"
    )


async def _disconnect(connection: Connection | UnixDomainSocketConnection, *, nowait: bool) -> None:
    try:
        await connection.disconnect(nowait=nowait)
    except (OSError, exceptions.RedisError) as error:
        logger.debug("closing a connection: %s", error_text(error))


_NOTHING: Final = object()

_Reader: Any = cast("Any", hiredis).Reader
_ReplyError: type[Exception] = cast("Any", hiredis).ReplyError
_ProtocolError: type[Exception] = cast("Any", hiredis).ProtocolError


class Wire(asyncio.Protocol):
    """What an open connection speaks once it was taken over.

    Args:
        transport: Of the connection; whoever listened to it before is told of its end.
        deliver: Is called with each reply, a `ErrorReply` for an error; may raise `ConnectionLost`.

    Attributes:
        ended: Why the connection is of no more use, once it is not.
    """

    def __init__(self, transport: asyncio.Transport, deliver: Callable[[Any], None]) -> None:
        self._transport, self._deliver = transport, deliver
        self._before = transport.get_protocol()
        self._reader = _Reader(notEnoughData=_NOTHING)
        self.ended: asyncio.Future[ConnectionLost] = asyncio.get_running_loop().create_future()
        transport.set_protocol(self)

    def write(self, data: bytes) -> None:
        """Send bytes. Nobody waits for them to go: who sends waits for the reply."""
        self._transport.write(data)

    def end(self, why: ConnectionLost) -> None:
        """Deliver nothing more."""
        if not self.ended.done():
            self.ended.set_result(why)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; called by the event loop."""
        self._reader.feed(data)
        try:
            while not self.ended.done() and (reply := self._reader.gets()) is not _NOTHING:
                self._deliver(parse_error(str(reply)) if isinstance(reply, _ReplyError) else reply)
        except ConnectionLost as lost:
            self.end(lost)
        except _ProtocolError as error:
            self.end(ConnectionLost(one_line(f"what came is no reply: {error}")))

    def eof_received(self) -> bool:
        """Note that the server has closed the connection; called by the event loop."""
        self.end(ConnectionLost("the server closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone; called by the event loop."""
        self.end(ConnectionLost(one_line(str(exc or "the connection was closed"))))
        self._before.connection_lost(exc)
