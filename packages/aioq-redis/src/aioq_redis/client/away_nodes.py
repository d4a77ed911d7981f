"""Which nodes of a cluster cannot be reached. Each of them is asked in the background until it answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from aioq.errors import AioqError
from aioq_redis.client.connection import ask_once
from aioq_redis.client.errors import ConnectionLost
from aioq_redis.client.url import Address, Settings

__all__ = ["AwayNodes"]

PROBE_INTERVAL: Final = 0.5
"""Seconds between two questions to a node that cannot be reached."""

PROBE_TIMEOUT: Final = 5.0
"""Seconds for the node to answer: long, because a slow node counts as away until it does."""


class AwayNodes:
    """The nodes that did not answer, and why.

    Args:
        settings: Those of the cluster.
        suspect: Called before each question: another node may have taken over the slots.
    """

    def __init__(self, settings: Settings, suspect: Callable[[], None]) -> None:
        self._settings = settings
        self._suspect = suspect
        self._reasons: dict[Address, str] = {}
        self._probes: dict[Address, asyncio.Task[None]] = {}

    def reason(self, address: Address) -> str:
        """Return why a node cannot be reached; empty if that is not known."""
        reason = self._reasons.get(address)
        return f"node {address}: {reason}" if reason else ""

    def add(self, address: Address, reason: str) -> None:
        """Note that a node did not answer."""
        self._reasons[address] = reason
        if address not in self._probes:
            probe = asyncio.get_running_loop().create_task(self._probe(address), name="aioq.redis away node")
            self._probes[address] = probe
            probe.add_done_callback(lambda _: self._probes.pop(address, None))

    def keep(self, owners: Collection[Address]) -> None:
        """Forget the nodes that have no slots any more."""
        for address in self._reasons.keys() - set(owners):
            del self._reasons[address]

    async def close(self) -> None:
        """Ask no more."""
        probes = list(self._probes.values())
        self._reasons.clear()
        for probe in probes:
            probe.cancel()
        if probes:
            await asyncio.wait(probes)

    async def _probe(self, address: Address) -> None:
        while address in self._reasons:
            await asyncio.sleep(PROBE_INTERVAL)
            self._suspect()
            try:
                await ask_once(self._settings.at(address), "PING", timeout=PROBE_TIMEOUT)
            except (ConnectionLost, AioqError):
                continue
            self._reasons.pop(address, None)
