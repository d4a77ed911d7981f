"""A way to a server on which replies get lost, late or changed, as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

__all__ = ["Proxy"]


class Proxy:
    """Listens on a port of 127.0.0.1 and passes everything on to a server.

    Each rule is for the next matching command of any connection and is then over.

    Args:
        url: Of the server.
        tls: Speak TLS to clients, with this server context.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._target, self._tls = urlsplit(url), tls
        self._pumps: set[asyncio.Task[None]] = set()
        self._drop_reply_to: list[bytes] = []
        self._cut_before: list[bytes] = []
        self._answer: list[tuple[bytes, bytes]] = []
        self.delay = 0.0
        """Seconds by which every reply is late."""
        self.silent = False
        """Whether everything is swallowed, both ways; a connection that lost something so stays open, and dumb."""
        self.connections = 0
        """How many there have been."""
        self.seen = asyncio.Condition()
        self.commands = b""
        """Everything that clients have said."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
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
        """Where a broker reaches it."""
        return f"redis://127.0.0.1:{self.port}"

    def drop_reply_to(self, word: bytes, times: int = 1) -> None:
        """Pass the next command with this word on, and cut the connection instead of passing the reply."""
        self._drop_reply_to += [word] * times

    def cut_before(self, word: bytes, times: int = 1) -> None:
        """Cut the connection instead of passing on the next command with this word."""
        self._cut_before += [word] * times

    def answer(self, word: bytes, reply: bytes) -> None:
        """Answer the next command with this word in place of the server."""
        self._answer.append((word, reply))

    def cut(self) -> None:
        """Cut all connections."""
        for pump in self._pumps:
            pump.cancel()

    async def wait_for(self, word: bytes) -> None:
        """Return when a client has said this word."""
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
        mute = hole = False

        async def replies() -> None:
            nonlocal hole
            while data := await down.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if mute:
                    break
                hole = hole or self.silent
                writer.write(b"" if hole else data)
                await writer.drain()
            writer.transport.abort()

        async with asyncio.TaskGroup() as tasks:
            passing = tasks.create_task(replies())
            while data := await reader.read(65536):
                await self._note(data)
                if _take(self._cut_before, data):
                    break
                hole = hole or self.silent
                if (reply := b"" if hole else self._canned(data)) is not None:
                    writer.write(reply)
                    continue
                mute = mute or _take(self._drop_reply_to, data)
                up.write(data)
                await up.drain()
            passing.cancel()

    async def _note(self, data: bytes) -> None:
        async with self.seen:
            self.commands += data
            self.seen.notify_all()

    def _canned(self, data: bytes) -> bytes | None:
        for rule in self._answer:
            if rule[0] in data:
                self._answer.remove(rule)
                return rule[1]
        return None


def _take(rules: list[bytes], data: bytes) -> bool:
    for word in rules:
        if word in data:
            rules.remove(word)
            return True
    return False
