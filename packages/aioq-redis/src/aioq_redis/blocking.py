"""Blocking waits: each has a connection to itself, and closes it when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from anyio import Event

from aioq_redis.command import Command
from aioq_redis.connection import pack
from aioq_redis.errors import TRANSIENT, Lost, Refusal
from aioq_redis.links import Links
from aioq_redis.routes import Route

__all__ = ["Blocking"]

SHORTEST: Final = 0.01
"""Seconds; the server takes 0 for ever."""

GRACE: Final = 5.0
"""Seconds that the server may answer later than it was told to."""


class Blocking:
    """Takes tokens from lists, waiting for one if need be."""

    def __init__(self, route: Route) -> None:
        self._route, self._links = route, Links(route)

    async def pop(self, keys: Sequence[str], timeout: float) -> bool:
        """Take a token from the first of the lists that has one; False when `timeout` seconds pass.

        Raises:
            Lost: The connection broke.
            Refusal: The server does not do it.
        """
        return bool(await self.take(keys, timeout))

    async def take(self, keys: Sequence[str], timeout: float) -> str:
        """Take a token as `pop` does, from lists in one place, and return the list that had it; empty for none."""
        async with self._links.lend(self._route.place(keys[0])) as line:
            (reply,) = await line.ask(_pop(keys, timeout), 1, timeout=timeout + GRACE)
            _insist(reply)
        return reply[0].decode() if reply else ""

    async def then(self, command: Command, key: str, timeout: float, idle: Event | None) -> Any:
        """Have a script run when a list has a token, or after `timeout` seconds; return its reply.

        It lies ready on the server, which runs it without another round trip.

        Args:
            idle: Before it is set the script is not sent until the token has come.

        Raises:
            Lost: The connection broke, and the script may have run.
            Refusal: The server does not do the waiting; the script may have run.
        """
        async with self._links.lend(self._route.place(key)) as line:
            pop, data = _pop((key,), timeout), command.packed()
            if idle is None or idle.is_set():
                token, reply = await line.ask(pop + data, 2, timeout=timeout + GRACE)
            else:
                with _sent_when(idle, partial(line.add, data)) as send:
                    token, reply = await line.ask(pop, 2, timeout=timeout + GRACE, then=send)
            _insist(token)
            if isinstance(reply, Refusal) and reply.code in TRANSIENT:
                raise Lost(reply.text)
        return reply

    async def close(self) -> None:
        """Close all connections; waits that are under way fail with `Lost`."""
        await self._links.close()


def _pop(keys: Sequence[str], timeout: float) -> bytes:
    return pack(("BLPOP", *keys, f"{max(timeout, SHORTEST):.3f}"))


def _insist(reply: Any) -> None:
    if isinstance(reply, Refusal):
        raise Lost(reply.text) if reply.code in TRANSIENT else reply


@contextmanager
def _sent_when(idle: Event, send: Callable[[], None]) -> Generator[Callable[[], None]]:
    """Call `send` when the event is set, or when what is given here is called, whichever comes first."""
    unsent = [send]

    def now() -> None:
        if unsent:
            unsent.pop()()

    async def wait() -> None:
        await idle.wait()
        now()

    waiting = asyncio.get_running_loop().create_task(wait(), name="aioq.redis idle")
    try:
        yield now
    finally:
        waiting.cancel()
