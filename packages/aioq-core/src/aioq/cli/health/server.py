"""Answers HTTP requests beside a worker: one request per connection, within bounds of size, time and number.

h11 reads and writes the protocol. A client that is slow, hostile or one of many costs the worker no more than a few
callbacks of its event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, TypeAlias

import anyio
import h11

from aioq.clock import SystemClock

__all__ = ["Answer", "Answering", "Request", "serving"]

MAX_HEADERS: Final = 8_192
"""Bytes of the first line and the headers of a request."""

REQUEST_TIMEOUT: Final = 5.0
"""Seconds in which a request must have arrived, and seconds in which a client must have taken its answer."""

MAX_CONNECTIONS: Final = 64
"""Connections at a time. With one more, the one that has been sending its request for the longest is closed."""

READ_SIZE: Final = 4_096

logger = logging.getLogger("aioq.health")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as far as an answer may depend on it."""

    method: str
    path: str
    """Without its query."""
    accept: str = ""
    """The header `Accept`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of_text(cls, status: HTTPStatus, *lines: str, **headers: str) -> Answer:
        """Return an answer of some lines of text."""
        return cls(status, "".join(f"{line}\n" for line in lines).encode(), headers=headers)


Answering: TypeAlias = Callable[[Request], Awaitable[Answer]]
_Begin: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


@asynccontextmanager
async def serving(sockets: Sequence[socket.socket], answer: Answering) -> AsyncGenerator[None]:
    """Answer requests on sockets that listen, during the block; close them at its end."""
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        connections = _Connections(answer)

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.start_soon(connections.serve, reader, writer)

        servers = [await _start(begin, sock) for sock in sockets]
        try:
            yield
        except Exception as error:
            failure = error
        finally:
            for server in servers:
                server.close()
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure  # here, where no group is wrapped around it


async def _start(begin: _Begin, sock: socket.socket) -> asyncio.Server:
    if sock.family.name == "AF_UNIX":  # not every platform has it
        return await asyncio.start_unix_server(begin, sock=sock, limit=MAX_HEADERS)
    return await asyncio.start_server(begin, sock=sock, limit=MAX_HEADERS)


class _Connections:
    """The open connections of a server."""

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self._open = 0
        self._sending: dict[asyncio.StreamWriter, None] = {}
        """Those whose request has not arrived yet, the oldest first."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close the connection."""
        self._open += 1
        try:
            self._sending[writer] = None
            if self._open > MAX_CONNECTIONS:
                # A probe sends its request at once, so it is not the oldest of those that have not.
                next(iter(self._sending)).transport.abort()
            with suppress(OSError, TimeoutError):  # the client has left, or is too slow
                await self._converse(reader, writer)
        except Exception:
            # It must not reach the worker.
            logger.exception("a request could not be answered", extra={"event": "health_request_failed"})
        finally:
            self._open -= 1
            self._sending.pop(writer, None)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADERS)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                request = await _read(connection, reader)
        except h11.RemoteProtocolError as error:
            request = None
            answer = Answer.of_text(HTTPStatus(error.error_status_hint), f"this is no HTTP request: {error}")
        else:
            if request is None:
                return
            self._sending.pop(writer, None)
            answer = await self._answer_to(request)
        async with asyncio.timeout(REQUEST_TIMEOUT):
            writer.write(_encode(connection, request, answer))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _answer_to(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return Answer.of_text(HTTPStatus.METHOD_NOT_ALLOWED, "use GET or HEAD", Allow="GET, HEAD")
        return await self._answer(request)


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """Return the request; None if the client leaves before it has sent one. What follows its headers is not read."""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Request):
            accept = next((value for name, value in event.headers if name == b"accept"), b"")
            path = event.target.decode("ascii").partition("?")[0]
            return Request(event.method.decode("ascii"), path, accept.decode("latin-1"))
        else:
            return None


def _encode(connection: h11.Connection, request: Request | None, answer: Answer) -> bytes:
    headers = {
        "Date": formatdate(SystemClock().time(), usegmt=True),
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **answer.headers,
    }
    head = h11.Response(status_code=answer.status, reason=answer.status.phrase, headers=list(headers.items()))
    data = connection.send(head) or b""
    if request is None or request.method != "HEAD":
        data += connection.send(h11.Data(data=answer.body)) or b""
    return data + (connection.send(h11.EndOfMessage()) or b"")
