"""Blocking on several nodes of a cluster at once, which one command cannot.

Who is woken by one of them leaves the other waits as they are, to go on with them next
time: a wait that is broken off may take a token with it. One that gets a token while nobody
waits gives it back, for somebody else.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from anyio import Event

from aioq_redis.client.blocking import Blocking
from aioq_redis.client.command import Command
from aioq_redis.client.routing import Route

__all__ = ["Racing"]

Wait = asyncio.Task[str]
"""One that is under way, for the list that has a token."""


class Racing:
    """Takes tokens from lists on any nodes."""

    def __init__(self, route: Route, blocking: Blocking) -> None:
        self._route, self._blocking = route, blocking
        self._left: dict[Wait, tuple[str, ...]] = {}

    async def then(self, commands: Mapping[str, Command], timeout: float, idle: Event | None) -> tuple[str, Any]:
        """Wait for a token and have a script run; see `Blocking.then`. None is run when the lists are apart."""
        places: defaultdict[int, list[str]] = defaultdict(list)
        for key in commands:
            places[self._route.place(key)].append(key)
        if len(places) == 1:
            return await self._blocking.then(commands, timeout, idle)
        await self._race([tuple(own) for own in places.values()], timeout)
        return "", None

    async def close(self) -> None:
        """Close all connections; waits that are under way fail with `ConnectionLost`."""
        left = list(self._left)
        self._left.clear()
        for wait in left:
            wait.cancel()
        if left:
            await asyncio.wait(left)
        await self._blocking.close()

    async def _race(self, lists: list[tuple[str, ...]], timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline, winner = loop.time() + timeout, None
        waits = {keys: self._wait_on(keys, timeout) for keys in lists}
        try:
            while (left := deadline - loop.time()) > 0:
                done, _ = await asyncio.wait(waits.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED)
                winner = next((wait for wait in done if wait.result()), None)
                if winner is not None:
                    return
                waits |= {keys: self._wait_on(keys, left) for keys, wait in waits.items() if wait in done}
        finally:
            for keys, wait in waits.items():
                if wait is not winner:
                    self._leave(wait, keys)

    def _wait_on(self, keys: tuple[str, ...], timeout: float) -> Wait:
        """Go on with a wait that was left, or begin one."""
        for wait, own in self._left.items():
            if own == keys:
                del self._left[wait]
                return wait
        take = self._blocking.take(keys, timeout)
        return asyncio.get_running_loop().create_task(take, name="aioq.redis wait")

    def _leave(self, wait: Wait, keys: tuple[str, ...]) -> None:
        self._left[wait] = keys
        wait.add_done_callback(self._ended)

    def _ended(self, wait: Wait) -> None:
        """Deal with the end of a wait, unless somebody has gone on with it."""
        if self._left.pop(wait, None) is None or wait.cancelled() or wait.exception() is not None:
            return
        if key := wait.result():
            back = self._route.commands.submit(Command(None, (), ("RPUSH", key, "1")))
            # When it fails the token is lost, which costs nothing but time.
            back.add_done_callback(lambda reply: reply.cancelled() or reply.exception())
