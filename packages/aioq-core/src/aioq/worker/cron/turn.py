"""Waiting until it is a tick's turn: its jitter is over."""

from __future__ import annotations

from datetime import datetime

from aioq.clock import wait_until
from aioq.cron import CronEntry
from aioq.cron.jitter import due
from aioq.protocols import Clock
from aioq.worker.stop import Stop

__all__ = ["wait_for_turn"]


async def wait_for_turn(entry: CronEntry, moment: datetime, clock: Clock, stop: Stop) -> bool:
    """Wait out the jitter of a tick; False when the worker stops before it is over."""
    left = due(entry, moment).timestamp() - clock.time()
    return left <= 0 or not await wait_until(stop.draining, clock, left)
