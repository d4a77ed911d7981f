"""Blocking waits: each has a connection to itself, and closes it when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from anyio import Event

from aioq_redis.client.command import Command
from aioq_redis.client.connection import pack
from aioq_redis.client.errors import TRANSIENT, ConnectionLost, ErrorReply
from aioq_redis.client.pool import Line, Pool
from aioq_redis.client.routing import Route

__all__ = ["Blocking"]

SHORTEST: Final = 0.01
"""Seconds; the server takes 0 for ever."""

GRACE: Final = 5.0
"""Seconds that the server may answer later than it was told to."""


class Blocking:
    """Takes tokens from lists, waiting for one if need be."""

    def __init__(self, route: Route) -> None:
        self._route, self._links = route, Pool(route)

    async def take(self, keys: Sequence[str], timeout: float) -> str:
        """Take a token from the first of some lists in one place that has one, and return the list; empty for none.

        Raises:
            ConnectionLost: The connection broke.
            ErrorReply: The server does not do it.
        """
        async with self._links.lend(self._route.place(keys[0])) as line:
            (reply,) = await line.ask(_pop(keys, timeout), 1, timeout=timeout + GRACE)
            _insist(reply)
        return reply[0].decode() if reply else ""

    async def then(self, commands: Mapping[str, Command], timeout: float, idle: Event | None) -> tuple[str, Any]:
        """Wait for a token as `take` does, have the command done that belongs to its list, and return both.

        With one list the command lies ready on the server, which does it without another round
        trip, also when the time is up. With several it is sent when the token has come.

        Args:
            commands: Scripts, by list.
            idle: Before it is set no command is laid out.

        Raises:
            ConnectionLost: The connection broke, and a script may have run.
            ErrorReply: The server does not do the waiting; a script may have run.
        """
        keys = [*commands]
        async with self._links.lend(self._route.place(keys[0])) as line:
            pop, wait = _pop(keys, timeout), timeout + GRACE
            if len(keys) > 1:
                token, *rest = await line.ask(pop, 2, timeout=wait, then=partial(_send_for, line, commands))
            elif idle is None or idle.is_set():
                token, *rest = await line.ask(pop + commands[keys[0]].packed(), 2, timeout=wait)
            else:
                with _sent_when(idle, partial(line.add, commands[keys[0]].packed())) as send:
                    token, *rest = await line.ask(pop, 2, timeout=wait, then=send)
            _insist(token)
            reply = rest[0] if rest else None
            if isinstance(reply, ErrorReply) and reply.code in TRANSIENT:
                raise ConnectionLost(reply.text)
        return token[0].decode() if token else keys[0], reply

    async def close(self) -> None:
        """Close all connections; waits that are under way fail with `ConnectionLost`."""
        await self._links.close()


def _pop(keys: Sequence[str], timeout: float) -> bytes:
    return pack(("BLPOP", *keys, f"{max(timeout, SHORTEST):.3f}"))


def _insist(reply: Any) -> None:
    if isinstance(reply, ErrorReply):
        raise ConnectionLost(reply.text) if reply.code in TRANSIENT else reply


def _send_for(line: Line, commands: Mapping[str, Command], token: Any) -> bool:
    """Send the command that belongs to the list of a token, if that is what came."""
    if not token or isinstance(token, ErrorReply):
        return False
    line.add(commands[token[0].decode()].packed())
    return True


@contextmanager
def _sent_when(idle: Event, send: Callable[[], None]) -> Generator[Callable[[Any], bool]]:
    """Call `send` when the event is set, or when what is given here is called with a reply, whichever comes first."""
    unsent = [send]

    def now(reply: Any = None) -> bool:
        if unsent and not isinstance(reply, ErrorReply):
            unsent.pop()()
        return not unsent

    async def wait() -> None:
        await idle.wait()
        now()

    waiting = asyncio.get_running_loop().create_task(wait(), name="aioq.redis idle")
    try:
        yield now
    finally:
        waiting.cancel()
