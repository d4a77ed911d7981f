"""The pipe through which a worker process gets the orders of its supervisor."""

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
from typing import Final, Self

import anyio
from anyio.from_thread import BlockingPortal

__all__ = ["ControlPipe", "Order"]

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
STDIN: Final = 0

logger = logging.getLogger("aioq.supervisor")


class Order(bytes, Enum):
    """What a supervisor orders, in one byte. The end of the pipe means `DRAIN`: the supervisor has died."""

    DRAIN = b"d"
    ABORT = b"a"


class ControlPipe:
    """The worker's end of the pipe.

    A signal means `DRAIN`, however often it comes. A service manager may signal all processes of a service, so that
    a worker gets both the signal and the supervisor's order: counted as two requests they would abort its jobs.

    Args:
        file: The file descriptor to read from.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._requests = 0
        self._stop: Callable[[], None] = lambda: None

    @classmethod
    def from_stdin(cls) -> Self:
        """Take over the standard input of this process; tasks get an empty one.

        From now on a signal does not end the process by itself.
        """
        file = os.dup(STDIN)
        with Path(os.devnull).open("rb") as empty:
            os.dup2(empty.fileno(), STDIN)
        for number in SIGNALS:
            # Until `calling` begins, the order waits in the pipe. A handler and not SIG_IGN: processes that tasks
            # start would inherit that.
            signal.signal(number, _ignore)
        return cls(file)

    @asynccontextmanager
    async def calling(self, stop: Callable[[], None]) -> AsyncGenerator[None]:
        """Call `stop` on the order to drain, and again on the order to abort."""
        self._stop = stop
        async with BlockingPortal() as portal, anyio.create_task_group() as tg:
            # A daemon thread, because not every platform can wait for a pipe in the event loop.
            threading.Thread(target=self._read_orders, args=(portal,), name="control pipe", daemon=True).start()
            tg.start_soon(self._receive_signals)
            yield
            tg.cancel_scope.cancel()

    async def _receive_signals(self) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            async for number in signals:
                logger.info("received %s", number.name)
                self._request(1)

    def _read_orders(self, portal: BlockingPortal) -> None:
        try:
            # One byte is one order, so that orders that were sent together are read one by one.
            while order := os.read(self._file, 1):
                portal.call(self._request, 2 if order == Order.ABORT.value else 1)
            portal.call(self._supervisor_died)
        except (RuntimeError, CancelledError):
            return  # the worker has ended in the meantime

    def _supervisor_died(self) -> None:
        logger.warning("the supervisor of this worker has died: stopping")
        self._request(1)

    def _request(self, number: int) -> None:
        """Call `stop` until it has been called this often: once drains, twice aborts."""
        while self._requests < number:
            self._requests += 1
            self._stop()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""
