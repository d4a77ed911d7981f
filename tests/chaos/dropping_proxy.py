"""A proxy in front of a server that drops every nth reply and closes its connection."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["DroppingProxy"]


class DroppingProxy:
    """A proxy on a port of 127.0.0.1, in a thread of its own. A reply is what the server sends at once.

    Args:
        socket: Socket of the server.
        every: Which reply is dropped, counted over all connections.
    """

    def __init__(self, socket: Path, every: int) -> None:
        self._socket = socket
        self._every = every
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dropping-proxy", daemon=True)
        self._replies = 0
        self._pumps: set[asyncio.Task[None]] = set()
        self.drops = 0
        """Number of dropped replies."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Return the URL for a broker."""
        return f"redis://127.0.0.1:{self._port}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pump = asyncio.current_task()
        assert pump is not None
        self._pumps.add(pump)
        down, up = await asyncio.open_unix_connection(str(self._socket))
        tasks = [asyncio.ensure_future(_pass(reader, up)), asyncio.ensure_future(self._replying(down, writer))]
        try:
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pumps.discard(pump)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, up):
                end.transport.abort()

    async def _replying(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            self._replies += 1
            if self._replies % self._every == 0:
                self.drops += 1
                return
            target.write(data)
            await target.drain()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
