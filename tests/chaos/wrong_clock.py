"""A worker with a wrong wall clock: `python -m tests.chaos.wrong_clock MODULE:APP SECONDS LEASE`."""

from __future__ import annotations

import logging
import sys
import time

import anyio

from aioq import Worker
from aioq.cli.find_app import load_app
from aioq.clock import SystemClock

__all__ = ["WrongClock"]


class WrongClock(SystemClock):
    """The clocks of the machine, with a wall clock that is wrong.

    Args:
        ahead: Seconds by which the wall clock is ahead; negative if it is behind.
    """

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def time(self) -> float:
        """Return the wrong time, in seconds since 1970."""
        return time.time() + self._ahead

    async def sleep_until(self, moment: float) -> None:
        """Sleep until this clock shows `moment`."""
        await super().sleep_until(moment - self._ahead)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    name, ahead, lease = sys.argv[1:]
    anyio.run(Worker(load_app(name), clock=WrongClock(float(ahead)), lease=float(lease)).run)
