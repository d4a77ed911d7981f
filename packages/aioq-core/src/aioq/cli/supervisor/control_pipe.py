"""How a worker process hears of its supervisor, and of the supervisor's end."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Self

import anyio
from anyio.from_thread import BlockingPortal

__all__ = ["ControlPipe", "Order"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STDIN = 0

logger = logging.getLogger("aioq.supervisor")


class ControlPipe:
    """The end of the line that a worker process holds.

    Orders come over the line, and when the supervisor is gone the line ends, which means to
    drain. A signal means to drain too, however often it comes: a service manager that signals
    every process of a service would else have each hear of its end twice, and abort.

    Args:
        line: The file descriptor of the line.
    """

    def __init__(self, line: int) -> None:
        self._line = line
        self._stages = 0
        self._stop: Callable[[], None] = lambda: None

    @classmethod
    def take(cls) -> Self:
        """Take the standard input of this process for the line, and leave an empty one to the tasks.

        From here on a signal does not end the process by itself.
        """
        line = os.dup(STDIN)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), STDIN)
        for number in SIGNALS:
            # Until `obeying`; the supervisor's order waits in the line. A handler, for what is ignored stays so in
            # every program that is started from here.
            signal.signal(number, _wait_for_the_order)
        return cls(line)

    @asynccontextmanager
    async def obeying(self, stop: Callable[[], None]) -> AsyncGenerator[None]:
        """Call `stop` when it is time to drain, and once more when it is time to abort."""
        self._stop = stop
        async with BlockingPortal() as portal, anyio.create_task_group() as duties:
            # A thread of its own, which dies with the process: nothing else can wait for a pipe everywhere.
            threading.Thread(target=self._listen, args=(portal,), name="supervisor's line", daemon=True).start()
            duties.start_soon(self._listen_to_signals)
            yield
            duties.cancel_scope.cancel()

    async def _listen_to_signals(self) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            async for number in signals:
                logger.info("got %s", number.name)
                self._reach(1)

    def _listen(self, portal: BlockingPortal) -> None:
        try:
            while order := os.read(self._line, 1):
                portal.call(self._reach, 2 if order == Order.ABORT.value else 1)
            portal.call(self._orphaned)
        except (RuntimeError, CancelledError):
            return  # the worker has come to its end meanwhile

    def _orphaned(self) -> None:
        logger.warning("the supervisor of this worker is gone: stopping")
        self._reach(1)

    def _reach(self, stage: int) -> None:
        """Go on to a stage of the end, unless it is reached."""
        while self._stages < stage:
            self._stages += 1
            self._stop()


def _wait_for_the_order(number: int, frame: FrameType | None) -> None:
    """Do nothing yet."""


class Order(bytes, Enum):
    """One byte each. The end of the line, when the supervisor is gone, means `DRAIN`."""

    DRAIN = b"d"
    ABORT = b"a"
