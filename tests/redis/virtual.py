"""A Redis broker on a clock that a test sets: the scripts read a key instead of the time."""

from __future__ import annotations

from typing import Any

from aioq.model.job import Claim, ClaimRequest
from aioq_redis import RedisBroker

__all__ = ["CLOCK_KEY", "CLOCK_SCRIPT", "VirtualBroker", "pass_time"]

CLOCK_KEY = "aioq-test-clock"
CLOCK_SCRIPT = f"""\
local now = tonumber(redis.call('GET', '{CLOCK_KEY}'))
local function microseconds()
  return string.format('%.0f', now * 1000)
end
"""
"""Replaces `lua/lib/clock.lua`."""


def pass_time(raw: Any, seconds: float) -> None:
    """Advance the clock of all scripts of a server."""
    raw.incrby(CLOCK_KEY, round(seconds * 1000))


class VirtualBroker(RedisBroker):
    """A broker that reads the clock of the scripts from a key."""

    def __init__(self, raw: Any, url: str, namespace: str) -> None:
        super().__init__(url, namespace=namespace)
        self._raw = raw
        self._requests: dict[str, ClaimRequest] = {}

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim; repeat a request with the queues and the limit that it had first."""
        return await super().claim(self._requests.setdefault(request.request_id, request))

    async def time(self) -> float:
        """Return the time of the scripts, and advance it, as jobs of one moment have no order."""
        return int(self._raw.incr(CLOCK_KEY)) / 1000
