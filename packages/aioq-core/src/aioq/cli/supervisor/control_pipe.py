"""The pipe through which a worker process gets the orders of its supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Final, Self

from aioq.cli.signals import STACKS, STOPS, SignalReceiver, end_if_blocked, ignore

__all__ = ["ControlPipe", "Order"]

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
        # Until `calling` begins, the order waits in the pipe.
        ignore((*STOPS, *STACKS))
        return cls(file)

    @asynccontextmanager
    async def calling(self, stop: Callable[[], None]) -> AsyncGenerator[None]:
        """Call `stop` on the order to drain, and again on the order to abort."""
        self._stop = stop
        receiver = SignalReceiver(lambda: self._request(1), forced=False, logger=logger)
        loop = asyncio.get_running_loop()
        async with receiver.receiving():
            # A daemon thread, because not every platform can wait for a pipe in the event loop.
            threading.Thread(target=self._read_orders, args=(loop,), name="control pipe", daemon=True).start()
            yield

    def _read_orders(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(RuntimeError):  # the worker has ended in the meantime
            # One byte is one order, so that orders that were sent together are read one by one.
            while order := os.read(self._file, 1):
                if order == Order.ABORT.value:
                    end_if_blocked(loop)
                loop.call_soon_threadsafe(self._request, 2 if order == Order.ABORT.value else 1)
            loop.call_soon_threadsafe(self._supervisor_died)

    def _supervisor_died(self) -> None:
        logger.warning("the supervisor of this worker has died: stopping", extra={"event": "supervisor_died"})
        self._request(1)

    def _request(self, number: int) -> None:
        """Call `stop` until it has been called this often: once drains, twice aborts."""
        while self._requests < number:
            self._requests += 1
            self._stop()
