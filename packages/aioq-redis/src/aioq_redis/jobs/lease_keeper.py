"""Extending leases from a thread, on a connection that no event loop has a part in."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any, Final

from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry

from aioq.errors import BrokerConfigError
from aioq.model.job import Lease
from aioq_redis.client.connection import BROKEN, arguments, pack, why
from aioq_redis.client.errors import TRANSIENT, ConnectionLost, ErrorReply, error_reply_of, error_text
from aioq_redis.client.url import Settings
from aioq_redis.jobs.settle import Settling, extension
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.scripts import load

__all__ = ["Keeper", "PATIENCE", "RoutedKeeper"]

REPLY_TIMEOUT: Final = 5.0
"""Seconds without a reply after which the connection is given up."""


class Keeper:
    """An `aioq.protocols.LeaseKeeper`. It connects when it is first used, and anew after an error."""

    def __init__(self, settings: Settings, server: Database, layout: Layout) -> None:
        self._settings, self._server, self._layout = settings, server, layout
        # What redis-py says of its types differs from release to release.
        self._connection: Any = None
        self._closed = False

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.LeaseKeeper.extend`."""
        by_queue: defaultdict[str, list[Lease]] = defaultdict(list)
        for lease in leases:
            by_queue[lease.queue].append(lease)
        lost: list[Lease] = []
        refusals: list[BrokerConfigError] = []
        for queue, part in by_queue.items():
            try:
                lost += [part[n] for n in self._call(queue, extension(part, seconds))]
            except BrokerConfigError as refusal:  # of this queue; the others have nothing to do with it
                refusals.append(refusal)
        if refusals and not lost:
            raise refusals[0]
        return lost

    def close(self) -> None:
        """Close the connection, for good."""
        self._closed = True
        self._drop()

    def _call(self, queue: str, args: list[object]) -> list[int]:
        script, space = load("extend"), self._layout.queue(queue)
        keys = space.pick(script.keys)
        rest = (len(keys), *keys, *args)
        try:
            reply = self._ask("EVALSHA", script.sha, *rest)
            if isinstance(reply, ErrorReply) and reply.code == "NOSCRIPT":
                reply = self._ask("EVAL", script.text, *rest)
        except ConnectionLost as error:
            raise self._server.unavailable(str(error)) from None
        if isinstance(reply, ErrorReply):
            raise self._server.refused("extend", reply)
        answer: list[int] = reply
        return answer

    def _ask(self, *parts: object) -> Any:
        """Send a command and return the reply; an error that will not pass is returned as a `ErrorReply`."""
        connection = self._connection or self._connect()
        try:
            connection.send_packed_command([pack(parts)], check_health=False)
            return connection.read_response()
        except BROKEN as error:
            self._drop()
            raise ConnectionLost(error_text(error)) from None
        except exceptions.RedisError as error:
            refusal = error_reply_of(error)
            if refusal.code in TRANSIENT:
                self._drop()
                raise ConnectionLost(refusal.text) from None
            return refusal
        except Exception:
            # Another thread has closed the connection under the hands of redis-py, which takes it for something else.
            if not self._closed:
                raise
            raise ConnectionLost("the connection was closed") from None

    def _connect(self) -> Any:
        self._insist_on_being_open()
        settings = self._settings
        kind: Any = UnixDomainSocketConnection if settings.path else SSLConnection if settings.tls else Connection
        connection = kind(**arguments(settings), socket_timeout=REPLY_TIMEOUT, retry=Retry(NoBackoff(), 0))
        try:
            connection.connect()
        except exceptions.RedisError as error:
            connection.disconnect()
            raise why(error, settings) from None
        self._connection = connection
        self._insist_on_being_open()  # another thread may have closed it meanwhile
        return connection

    def _insist_on_being_open(self) -> None:
        if self._closed:
            self._drop()
            raise ConnectionLost("the connection was closed")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


PATIENCE: Final = 5.0
"""Seconds that one extension may take, repetitions included."""


class RoutedKeeper:
    """An `aioq.protocols.LeaseKeeper`. Its thread begins when it is first used.

    Args:
        server: With connections for nobody else.
        settling: Extends leases on that server.
    """

    def __init__(self, server: Database, settling: Settling) -> None:
        self._server, self._settling = server, settling
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.LeaseKeeper.extend`."""
        with self._lock:
            if self._closed:
                raise self._server.unavailable("the connection was closed")
            loop = self._loop = self._loop or _begin()
            call = asyncio.run_coroutine_threadsafe(self._settling.extend(leases, seconds=seconds), loop)
        try:
            return call.result()
        except CancelledError:
            raise self._server.unavailable("the connection was closed") from None

    def close(self) -> None:
        """Close the connections, for good."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await self._server.close()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        asyncio.get_running_loop().stop()


def _begin() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=_run, args=(loop,), name="aioq.redis keeper", daemon=True).start()
    return loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()
