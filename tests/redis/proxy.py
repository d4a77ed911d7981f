"""A proxy in front of a server that loses, delays, slows down or replaces replies, as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

__all__ = ["Fault", "Proxy", "When"]

PIECE = 65536
"""Bytes that are passed on at once."""

_COMMAND = re.compile(rb"(?:^|\r\n)\*\d+\r\n")


class When(Enum):
    """When a fault happens to a command."""

    BEFORE = "before the server gets it"
    AFTER = "before the reply comes back"
    MIDDLE = "in the middle of the reply"


class Fault(NamedTuple):
    """A fault of the next command that contains a word."""

    word: bytes
    when: When
    silent: bool
    """Whether the connection stays open without passing on anything more; otherwise it is cut."""


_HOLE = Fault(b"", When.BEFORE, silent=True)


class Proxy:
    """Listens on a port of 127.0.0.1 and passes everything on to a server.

    Each rule applies to the next matching command of any connection, once.

    Args:
        url: Of the server.
        tls: Speak TLS to clients, with this server context.
        rate: Bytes a second in each direction, all connections together; no limit when None.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None, rate: float | None = None) -> None:
        self._target = urlsplit(url)
        self._tls = tls
        self._up = _Line(rate) if rate else None
        self._down = _Line(rate) if rate else None
        self._pumps: set[asyncio.Task[None]] = set()
        self._faults: list[Fault] = []
        self._answer: list[tuple[bytes, bytes]] = []
        self.delay = 0.0
        """Seconds by which every reply is late."""
        self.silent = False
        """Whether everything is dropped, both ways; a connection that lost data so stays open and silent."""
        self.connections = 0
        """The number of connections so far."""
        self.seen = asyncio.Condition()
        self.answered: list[bytes] = []
        """The answers that the proxy gave instead of the server."""
        self.commands = b""
        """Everything that clients have sent, unless the proxy has a rate."""
        self.pieces = 0
        """The number of pieces in which that came."""
        self.bytes_down = 0
        """The number of bytes that clients got."""

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        if self._up is not None:
            # On a slow line little is under way, so a sender notices how slow it is.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        self._server = await asyncio.start_server(self._serve, sock=listener, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    @property
    def url(self) -> str:
        """The URL of the proxy, with the user and the database of the server's URL."""
        user, at, _ = self._target.netloc.rpartition("@")
        database = "" if self._target.scheme == "unix" else self._target.path
        return f"redis://{user}{at}127.0.0.1:{self.port}{database}"

    def drop_reply_to(self, word: bytes, times: int = 1) -> None:
        """Pass the next command with this word on, and cut the connection instead of passing the reply."""
        self._faults += [Fault(word, When.AFTER, silent=False)] * times

    def cut_before(self, word: bytes, times: int = 1) -> None:
        """Cut the connection instead of passing on the next command with this word."""
        self._faults += [Fault(word, When.BEFORE, silent=False)] * times

    def fail(self, fault: Fault) -> None:
        """Apply a fault to the next command with its word."""
        self._faults.append(fault)

    def is_over(self, fault: Fault) -> bool:
        """Return whether a fault has happened."""
        return fault not in self._faults

    def answer(self, word: bytes, reply: bytes) -> None:
        """Answer the next command with this word instead of the server.

        Commands that arrived in the same piece are lost with the connection.
        """
        self._answer.append((word, reply))

    def cut(self) -> None:
        """Cut all connections."""
        for pump in self._pumps:
            pump.cancel()

    async def wait_for(self, word: bytes) -> None:
        """Return when a client has sent this word."""
        async with asyncio.timeout(10), self.seen:
            await self.seen.wait_for(lambda: word in self.commands)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        pump = asyncio.current_task()
        assert pump is not None
        self._pumps.add(pump)
        up: asyncio.StreamWriter | None = None
        try:
            down, up = await self._dial()
            with contextlib.suppress(OSError):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._requests(reader, writer, up, down))
        except (asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            self._pumps.discard(pump)
            for end in (writer, up):
                if end is not None:
                    end.transport.abort()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.scheme == "unix":
            return await asyncio.open_unix_connection(unquote(self._target.path))
        return await asyncio.open_connection(self._target.hostname, self._target.port or 6379)

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up: asyncio.StreamWriter,
        down: asyncio.StreamReader,
    ) -> None:
        replies = _Replies(down, writer, self._carry_down)
        async with asyncio.TaskGroup() as tasks:
            passing = tasks.create_task(replies.pass_on(lambda: self.delay, self._swallowed))
            while data := await reader.read(PIECE):
                self.pieces += 1
                if self._up is None:
                    await self._note(data)
                else:
                    await self._up.carry(len(data))
                replies.fault = fault = replies.fault or self._fault_of(data)
                if (reply := self._canned(data)) is not None:
                    writer.write(reply)
                    if len(_COMMAND.findall(data)) > 1:  # the other commands get no answer
                        await writer.drain()
                        break
                elif fault is None or fault.when is not When.BEFORE:
                    up.write(data)
                    await up.drain()
                elif not fault.silent:
                    break
            passing.cancel()

    async def _carry_down(self, size: int) -> None:
        self.bytes_down += size
        if self._down is not None:
            await self._down.carry(size)

    def _swallowed(self) -> Fault | None:
        return _HOLE if self.silent else None

    def _fault_of(self, data: bytes) -> Fault | None:
        if self.silent:
            return _HOLE
        for fault in self._faults:
            if fault.word in data:
                self._faults.remove(fault)
                return fault
        return None

    async def _note(self, data: bytes) -> None:
        async with self.seen:
            self.commands += data
            self.seen.notify_all()

    def _canned(self, data: bytes) -> bytes | None:
        for rule in self._answer:
            if rule[0] in data:
                self._answer.remove(rule)
                self.answered.append(rule[1])
                return rule[1]
        return None


class _Line:
    """One direction of a slow network."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def carry(self, size: int) -> None:
        """Return when this number of bytes has passed."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / self._rate
        await asyncio.sleep(self._free_at - now)


class _Replies:
    """Passes replies on to one client."""

    def __init__(
        self, source: asyncio.StreamReader, client: asyncio.StreamWriter, carry: Callable[[int], Awaitable[None]]
    ) -> None:
        self._source = source
        self._client = client
        self._carry = carry
        self.fault: Fault | None = None

    async def pass_on(self, delay: Callable[[], float], fault: Callable[[], Fault | None]) -> None:
        """Pass replies on until there is a fault."""
        whole = True
        while data := await self._source.read(PIECE):
            await asyncio.sleep(delay())
            await self._carry(len(data))
            self.fault = self.fault or fault()
            if self.fault is None:
                self._client.write(data)
            elif whole and self.fault.when is When.MIDDLE:
                self._client.write(data[: len(data) // 2])
                whole = False
            await self._client.drain()
            if self.fault is not None and not self.fault.silent:
                break
        self._client.transport.abort()
