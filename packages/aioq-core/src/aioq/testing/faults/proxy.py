"""A TCP proxy that causes faults, for brokers whose store is a server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

__all__ = ["FaultProxy"]

PIECE: Final = 65_536
"""Bytes that are passed on at once."""


class FaultProxy:
    """Listens on a free port of 127.0.0.1, and passes everything on to a server, whatever its protocol is.

    It runs in the event loop of the test, which must be asyncio:

        async with FaultProxy(("127.0.0.1", 5432)) as proxy:
            broker = MyBroker(f"mine://127.0.0.1:{proxy.port}/jobs")

    A reply is what the server sends in one piece. A fault concerns all connections.

    Args:
        server: The host and port of the server, or the path of its unix socket.

    Attributes:
        port: The port of the proxy.
        lost: The number of replies that were lost so far.
        connections: The number of connections so far.
    """

    def __init__(self, server: tuple[str, int] | str) -> None:
        self._server = server
        self._pumps: set[asyncio.Task[None]] = set()
        self._skip: int | None = None
        self._delay = 0.0
        self._down = False
        self._silent = False
        self.port = 0
        self.lost = 0
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def lose_reply(self, skip: int = 0) -> None:
        """Cut the connection instead of passing a reply on, after `skip` further replies."""
        self._skip = skip

    def go_down(self) -> None:
        """Cut all connections, and each new one, until `recover`."""
        self._down = True
        self.cut()

    def go_silent(self) -> None:
        """Pass nothing on in either direction until `recover`; connections stay open."""
        self._silent = True

    def slow_down(self, seconds: float) -> None:
        """Pass each reply on `seconds` later until `recover`."""
        self._delay = seconds

    def recover(self) -> None:
        """End all faults. Connections that were silent are cut, because they have lost data."""
        if self._silent:
            self.cut()
        self._skip = None
        self._delay = 0.0
        self._down = False
        self._silent = False

    def cut(self) -> None:
        """Cut all connections."""
        for pump in self._pumps:
            pump.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pump = asyncio.current_task()
        up: asyncio.StreamWriter | None = None
        if pump is not None:
            self._pumps.add(pump)
        self.connections += 1
        try:
            with suppress(OSError, asyncio.CancelledError, ExceptionGroup):
                if not self._down:
                    down, up = await self._dial()
                    async with asyncio.TaskGroup() as directions:
                        directions.create_task(self._pass_requests(reader, up))
                        directions.create_task(self._pass_replies(down, writer))
        finally:
            if pump is not None:
                self._pumps.discard(pump)
            for end in (writer, up):
                if end is not None:
                    end.transport.abort()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._server, str):
            return await asyncio.open_unix_connection(self._server)
        return await asyncio.open_connection(*self._server)

    async def _pass_requests(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await client.read(PIECE):
            if not self._silent:
                server.write(data)
                await server.drain()
        raise ConnectionResetError  # ends the other direction, too

    async def _pass_replies(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await server.read(PIECE):
            await asyncio.sleep(self._delay)
            if self._is_lost():
                break
            if not self._silent:
                client.write(data)
                await client.drain()
        raise ConnectionResetError

    def _is_lost(self) -> bool:
        if self._skip is None:
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._skip = None
        self.lost += 1
        return True
