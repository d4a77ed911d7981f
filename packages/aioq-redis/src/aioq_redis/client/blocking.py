"""Blocking waits on lists. Each wait has a connection to itself, and closes it when it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from anyio import Event

from aioq_redis.client.connection import Connection, pack
from aioq_redis.client.errors import TRANSIENT, ErrorReply, NotReady
from aioq_redis.client.pipeline import Command
from aioq_redis.client.pool import Pool
from aioq_redis.client.routing import Route

__all__ = ["Blocking"]

SHORTEST_WAIT: Final = 0.01
"""Seconds; BLPOP takes 0 for no limit."""

LATENESS: Final = 0.2
"""Seconds by which the end of a wait may be late: the server looks ten times a second for waits that are over."""


class Blocking:
    """Takes tokens from lists, and waits for one if the lists are empty."""

    def __init__(self, route: Route) -> None:
        self._route = route
        # Not the pipeline: the server runs no later command of a connection while BLPOP waits on it.
        self._pool = Pool(route)
        # Hash slots are worked out once: a worker waits on the same lists all the time.
        self._places: dict[str, int] = {}

    async def take(self, keys: Sequence[str], timeout: float) -> str:
        """Take a token from the first list that has one, and return the list; empty if none came in time.

        Args:
            keys: The lists, all at one place.
            timeout: Seconds to wait.

        Raises:
            ConnectionLost: The connection broke.
            ErrorReply: The server rejects the wait.
        """
        async with self._pool.acquire(self._place(keys[0])) as connection:
            (token,) = await connection.request(_pop(keys, timeout), wait=timeout + LATENESS)
            _raise_for(token)
        return token[0].decode() if token else ""

    async def wait_and_run(
        self, commands: Mapping[str, Command], timeout: float, idle: Event | None
    ) -> tuple[str, Any]:
        """Take a token as `take` does, run the script of its list, and return the list and the script's reply.

        The script of a single list is sent together with the wait: the server runs it as soon as the token
        comes, or when the time is up. The script of one of several lists is sent when the token has come.

        Args:
            commands: The scripts by list.
            timeout: Seconds to wait.
            idle: The script is not sent before this event is set, unless the token has come.

        Raises:
            ConnectionLost: The connection broke, and a script may have run.
            ErrorReply: The server rejects the wait; a script may have run.
        """
        keys = [*commands]
        pop = _pop(keys, timeout)
        async with self._pool.acquire(self._place(keys[0])) as connection:
            if len(keys) > 1:
                send_for = partial(_send_for, connection, commands)
                token, *rest = await connection.request(pop, 2, wait=timeout + LATENESS, more=send_for)
            elif idle is None or idle.is_set():
                token, *rest = await connection.request(pop + commands[keys[0]].packed(), 2, wait=timeout + LATENESS)
            else:
                # A job that runs here may block the event loop. Jobs that the server claimed for this worker would wait
                # behind it.
                send = partial(connection.write, commands[keys[0]].packed())
                with _sent_when(idle, send) as send_now:
                    token, *rest = await connection.request(pop, 2, wait=timeout + LATENESS, more=send_now)
            _raise_for(token)
            reply = rest[0] if rest else None
            if isinstance(reply, ErrorReply) and reply.code in TRANSIENT:
                raise NotReady(reply)
        return token[0].decode() if token else keys[0], reply

    async def close(self) -> None:
        """Close all connections; waits under way fail with `ConnectionLost`."""
        await self._pool.close()

    def _place(self, key: str) -> int:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._route.place(key)
        return place


def _pop(keys: Sequence[str], timeout: float) -> bytes:
    return pack(("BLPOP", *keys, f"{max(timeout, SHORTEST_WAIT):.3f}"))


def _raise_for(reply: Any) -> None:
    if isinstance(reply, ErrorReply):
        raise NotReady(reply) if reply.code in TRANSIENT else reply


def _send_for(connection: Connection, commands: Mapping[str, Command], token: Any) -> bool:
    """Send the script of the list that a token came from; return False if there is no token."""
    if not token or isinstance(token, ErrorReply):
        return False
    connection.write(commands[token[0].decode()].packed())
    return True


@contextmanager
def _sent_when(idle: Event, send: Callable[[], None]) -> Generator[Callable[[Any], bool]]:
    """Call `send` once: when the event is set, or when the yielded function is called with a reply."""
    unsent = [send]

    def send_now(reply: Any = None) -> bool:
        if isinstance(reply, ErrorReply) and unsent:
            # The wait is over, and the connection goes on: a script that is sent now would shift its replies.
            unsent.clear()
            return False
        if unsent:
            unsent.pop()()
        return True

    async def wait() -> None:
        await idle.wait()
        send_now()

    waiting = asyncio.get_running_loop().create_task(wait(), name="aioq.redis idle")
    try:
        yield send_now
    finally:
        waiting.cancel()
