"""Blocking waits on lists at several nodes of a cluster, which one command cannot do.

When one node has a token, the waits at the other nodes go on, and the next call takes them over: to break off a
wait may lose a token. A wait that gets a token which no call has taken over gives the token back.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

from anyio import Event

from aioq_redis.client.blocking import Blocking
from aioq_redis.client.pipeline import Command
from aioq_redis.client.routing import Route

__all__ = ["ClusterBlocking"]

Wait: TypeAlias = asyncio.Task[str]
"""A wait under way; its result is the list that has a token, empty for none."""


class ClusterBlocking:
    """Takes tokens from lists at any nodes."""

    def __init__(self, route: Route, blocking: Blocking) -> None:
        self._route = route
        self._blocking = blocking
        self._left: dict[Wait, tuple[str, ...]] = {}

    async def wait_and_run(
        self, commands: Mapping[str, Command], timeout: float, idle: Event | None
    ) -> tuple[str, Any]:
        """Take a token and run a script; see `Blocking.wait_and_run`. With lists at several nodes no script runs."""
        places: defaultdict[int, list[str]] = defaultdict(list)
        for key in commands:
            places[self._route.place(key)].append(key)
        if len(places) == 1:
            return await self._blocking.wait_and_run(commands, timeout, idle)
        await self._wait_on_all([tuple(keys) for keys in places.values()], timeout)
        return "", None

    async def close(self) -> None:
        """Close all connections; waits under way fail with `ConnectionLost`."""
        left = list(self._left)
        self._left.clear()
        for wait in left:
            wait.cancel()
        if left:
            await asyncio.wait(left)
        await self._blocking.close()

    async def _wait_on_all(self, places: list[tuple[str, ...]], timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        winner: Wait | None = None
        waits = {keys: self._wait_on(keys, timeout) for keys in places}
        try:
            while (left := deadline - loop.time()) > 0:
                done, _ = await asyncio.wait(waits.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED)
                winner = next((wait for wait in done if wait.result()), None)
                if winner is not None:
                    return
                # A wait that was taken over ends with the time of its own call, and another one has to follow.
                waits |= {keys: self._wait_on(keys, left) for keys, wait in waits.items() if wait in done}
        finally:
            for keys, wait in waits.items():
                if wait is not winner:
                    self._leave(wait, keys)

    def _wait_on(self, keys: tuple[str, ...], timeout: float) -> Wait:
        """Take over a wait that was left, or start one."""
        for wait, left_keys in self._left.items():
            if left_keys == keys:
                del self._left[wait]
                return wait
        take = self._blocking.take(keys, timeout)
        return asyncio.get_running_loop().create_task(take, name="aioq.redis wait")

    def _leave(self, wait: Wait, keys: tuple[str, ...]) -> None:
        self._left[wait] = keys
        wait.add_done_callback(self._give_back)

    def _give_back(self, wait: Wait) -> None:
        """Give back the token of a wait that no call has taken over."""
        if self._left.pop(wait, None) is None or wait.cancelled() or wait.exception() is not None:
            return
        if key := wait.result():
            push = self._route.commands.submit(Command(None, (), ("RPUSH", key, "1")))
            # If it fails the token is lost, and the job waits until the next claim.
            push.add_done_callback(lambda reply: reply.cancelled() or reply.exception())
