"""Combines concurrent look-ups of single names into one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from aioq_redis.client.client import reply_before
from aioq_redis.client.errors import ErrorReply
from aioq_redis.client.pipeline import Command, Script
from aioq_redis.client.session import Session
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import KeySpace

__all__ = ["Lookup", "MultiGet"]

MAX_NAMES: Final = 100
"""Names in one command. Further look-ups go into the next command."""

Lookup: TypeAlias = tuple[Script | None, Sequence[str], Sequence[object]]
"""A script with its keys and arguments; or None, no keys, and the parts of a plain command."""


class Batch:
    """The names of one command, and a future for the part of the reply that belongs to each."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.names: list[str] = []
        self.futures: list[asyncio.Future[Any]] = []

    def add(self, name: str) -> asyncio.Future[Any]:
        """Add a name; return a future of its part of the reply."""
        future: asyncio.Future[Any] = self.session.loop.create_future()
        self.names.append(name)
        self.futures.append(future)
        return future


class BatchCommand(Command):
    """The command of a batch.

    Args:
        lookup: The command.
        futures: Get a part of the reply each.
        divide: Called instead if the server rejects the command; None to fail all futures.
    """

    __slots__ = ("_divide", "_futures")

    def __init__(
        self, lookup: Lookup, futures: Sequence[asyncio.Future[Any]], divide: Callable[[], None] | None = None
    ) -> None:
        super().__init__(*lookup)
        self._futures = futures
        self._divide = divide

    def awaited(self) -> bool:
        """Return whether to send it: a caller still waits, or it was sent before and redirected."""
        return self.hops > 0 or any(not future.done() for future in self._futures)

    def answer(self, reply: Sequence[Any]) -> None:
        """Resolve each future with its part of the reply."""
        for future, part in zip(self._futures, reply, strict=True):
            if not future.done():
                future.set_result(part)

    def fail(self, error: Exception) -> None:
        """Fail each future, or divide the batch."""
        if self._divide is not None and isinstance(error, ErrorReply):
            self._divide()
            return
        for future in self._futures:
            if not future.done():
                # Each caller gets an error of its own, as raising one adds to its traceback.
                future.set_exception(type(error)(*error.args))


class MultiGet:
    """Looks up names, which belong to groups, and sends one command for all names of a group.

    If the server rejects a command with several names, each name is looked up alone: one may be the cause.

    Args:
        database: The server.
        what: The command, for error messages.
        make: Returns the command for names of a group; its reply has a part for each name.
        space_of: Returns the keys of a group.
        find_mistyped: Returns a text about the wrong type of the key of a name, for error messages.
    """

    def __init__(
        self,
        database: Database,
        what: str,
        make: Callable[[str, Sequence[str]], Lookup],
        space_of: Callable[[str], KeySpace],
        find_mistyped: Callable[[str, str], Awaitable[str]],
    ) -> None:
        self._database = database
        self._what = what
        self._make = make
        self._space_of = space_of
        self._find_mistyped = find_mistyped
        self._open: dict[str, Batch] = {}

    async def get(self, group: str, name: str) -> Any:
        """Return the part of the reply for a name.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `Database.call`.
        """

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            return reply_before(self._join(group, name, session), deadline, session.pipeline, None)

        find_mistyped, key = partial(self._find_mistyped, group, name), self._space_of(group).key("")
        return await self._database.repeat(self._what, send, find_mistyped, key=key, patient=False)

    def _join(self, group: str, name: str, session: Session) -> asyncio.Future[Any]:
        batch = self._open.get(group)
        if batch is None or batch.session is not session or len(batch.names) >= MAX_NAMES:
            batch = self._open[group] = Batch(session)
            # Calls made before the next iteration of the loop join the batch.
            session.loop.call_soon(self._send, group, batch)
        return batch.add(name)

    def _send(self, group: str, batch: Batch) -> None:
        if self._open.get(group) is batch:
            del self._open[group]
        divide = partial(self._divide, group, batch) if len(batch.names) > 1 else None
        batch.session.pipeline.submit(BatchCommand(self._make(group, batch.names), batch.futures, divide))

    def _divide(self, group: str, batch: Batch) -> None:
        for name, future in zip(batch.names, batch.futures, strict=True):
            batch.session.pipeline.submit(BatchCommand(self._make(group, [name]), [future]))
