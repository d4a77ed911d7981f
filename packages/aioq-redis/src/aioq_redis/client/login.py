"""Opens a connection to a server, and logs in."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from aioq.errors import BrokerConfigError
from aioq_redis.client.connection import Connection, pack
from aioq_redis.client.errors import TRANSIENT, ConnectionLost, ErrorReply, Unreachable, access_denied, error_text
from aioq_redis.client.tls import PATIENCE, answers_in_plain_text, answers_in_tls, tls_context, tls_error
from aioq_redis.client.url import CLUSTER, SENTINEL, Settings

__all__ = ["CONNECT_TIMEOUT", "ask_once", "connect"]

CONNECT_TIMEOUT: Final = 5.0
"""Seconds to open a connection and to log in."""

OLDEST_REDIS: Final = (6, 2)

_KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a dead peer is noticed after 25 idle seconds."""

_CUT: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
"""Errors of the system when an open connection is cut."""


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
        raise ConnectionLost(reply.text)
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
            raise ConnectionLost(reply.text) if reply.code in TRANSIENT else access_denied(settings.masked, reply)
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
