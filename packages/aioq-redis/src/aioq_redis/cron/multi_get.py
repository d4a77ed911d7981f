"""Questions that are asked at the same time, in one command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from aioq_redis.client.client import before_deadline
from aioq_redis.client.errors import ErrorReply
from aioq_redis.client.pipeline import Command
from aioq_redis.client.session import Session
from aioq_redis.storage.database import Database
from aioq_redis.storage.scripts import Script

__all__ = ["Asked", "Gathering"]

MOST: Final = 100
"""Questions in one command, after which others go into the next."""

Asked: TypeAlias = tuple[Script | None, Sequence[str], Sequence[object]]
"""A script or none, its keys, and the arguments."""


class Batch:
    """The names that go into one command, and who waits for what is said of each."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.names: list[str] = []
        self.callers: list[asyncio.Future[Any]] = []

    def add(self, name: str) -> asyncio.Future[Any]:
        """Take a question in; the future is its part of the reply."""
        future: asyncio.Future[Any] = self.session.loop.create_future()
        self.names.append(name)
        self.callers.append(future)
        return future


class Question(Command):
    """A batch on its way. If the server refuses it, each of its names is asked about alone: one may be the cause."""

    __slots__ = ("_callers", "_divide")

    def __init__(
        self, asked: Asked, callers: Sequence[asyncio.Future[Any]], divide: Callable[[], None] | None = None
    ) -> None:
        super().__init__(*asked)
        self._callers, self._divide = callers, divide

    def awaited(self) -> bool:
        """Whether to send it: while any of the callers waits."""
        return self.hops > 0 or any(not future.done() for future in self._callers)

    def answer(self, reply: Sequence[Any]) -> None:
        """Give each caller its part of the reply."""
        for future, part in zip(self._callers, reply, strict=True):
            if not future.done():
                future.set_result(part)

    def fail(self, error: Exception) -> None:
        """Give each caller an error of its own: its traceback grows where it is raised."""
        if self._divide is not None and isinstance(error, ErrorReply):
            self._divide()
            return
        for future in self._callers:
            if not future.done():
                future.set_exception(type(error)(*error.args))


class Gathering:
    """Asks one kind of question, about names that lie in different places.

    Args:
        server: Who is asked.
        what: The question, for error messages.
        make: Returns the command for names of one place; its reply has a part for each.
        misfit: Finds what is wrong about the keys for a name of a place.
    """

    def __init__(
        self,
        server: Database,
        what: str,
        make: Callable[[str, Sequence[str]], Asked],
        misfit: Callable[[str, str], Awaitable[str]],
    ) -> None:
        self._server, self._what, self._make, self._misfit = server, what, make, misfit
        self._open: dict[str, Batch] = {}

    async def ask(self, place: str, name: str) -> Any:
        """Return what is said of a name.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `Database.call`.
        """

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            return before_deadline(self._join(place, name, session), deadline)

        return await self._server.repeat(self._what, send, partial(self._misfit, place, name))

    def _join(self, place: str, name: str, session: Session) -> asyncio.Future[Any]:
        batch = self._open.get(place)
        if batch is None or batch.session is not session or len(batch.names) >= MOST:
            batch = self._open[place] = Batch(session)
            # Whoever else asks before the loop comes round again is on board.
            session.loop.call_soon(self._send, place, batch)
        return batch.add(name)

    def _send(self, place: str, batch: Batch) -> None:
        if self._open.get(place) is batch:
            del self._open[place]
        divide = partial(self._one_by_one, place, batch) if len(batch.names) > 1 else None
        batch.session.pipeline.submit(Question(self._make(place, batch.names), batch.callers, divide))

    def _one_by_one(self, place: str, batch: Batch) -> None:
        for name, caller in zip(batch.names, batch.callers, strict=True):
            batch.session.pipeline.submit(Question(self._make(place, [name]), [caller]))
