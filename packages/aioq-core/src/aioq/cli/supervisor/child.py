"""One process of a supervisor, and the line to it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import Process

from aioq.cli.supervisor.control_pipe import Order

__all__ = ["Child"]


class Child:
    """A place for one process after the other.

    Args:
        name: What it is called in the log.
        command: What to start.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = command
        self._process: Process | None = None
        self._line = -1

    @property
    def pid(self) -> int:
        """The id of the process that runs; 0 when none does."""
        return self._process.pid if self._process else 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Process]:
        """Start a process; it is over in the end."""
        # Its standard input ends when this process does, whichever way that happens.
        theirs, self._line = os.pipe()
        try:
            # A terminal's Ctrl-C must not reach it beside the order to drain: so it has a session of its own.
            process = await anyio.open_process(
                self._command, stdin=theirs, stdout=None, stderr=None, start_new_session=True
            )
        except BaseException:
            os.close(self._line)
            raise
        finally:
            os.close(theirs)
        try:
            async with process:
                self._process = process
                yield process
        finally:
            self._process = None
            os.close(self._line)

    def tell(self, order: Order) -> None:
        """Give the process that runs an order."""
        if self._process:
            with suppress(BrokenPipeError):  # it has just ended
                os.write(self._line, order.value)

    def kill(self) -> bool:
        """End the process that runs at once; return whether there was one."""
        if self._process is None or self._process.returncode is not None:
            return False
        with suppress(ProcessLookupError):
            self._process.kill()
        return True
