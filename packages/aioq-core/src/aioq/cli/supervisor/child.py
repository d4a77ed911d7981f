"""One worker process of a supervisor, and the pipe to it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from signal import Signals

import anyio
from anyio.abc import Process

from aioq.cli.supervisor.control_pipe import Order

__all__ = ["Child"]


class Child:
    """Runs one worker process at a time.

    Args:
        name: The name in the log.
        command: The command line of the process.
        environment: Environment variables of the process, in addition to those of this one.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._process: Process | None = None
        self._pipe = -1

    @property
    def pid(self) -> int:
        """The id of the running process; 0 if none is running."""
        return self._process.pid if self._process else 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Process]:
        """Start a process; wait for its end when the block ends."""
        # If the supervisor dies, the system closes its end of the pipe, and the worker reads the end of its stdin.
        read_end, self._pipe = os.pipe()
        try:
            # A session of its own: a Ctrl-C in the terminal must not reach the worker in addition to the order.
            process = await anyio.open_process(
                self._command, stdin=read_end, stdout=None, stderr=None, start_new_session=True,
                env={**os.environ, **self._environment} if self._environment else None,
            )  # fmt: skip
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            # The process has a copy. If this one stayed open, an order to a process that has ended would raise no
            # error.
            os.close(read_end)
        try:
            async with process:
                self._process = process
                yield process
        finally:
            self._process = None
            os.close(self._pipe)

    def send(self, order: Order) -> None:
        """Send an order to the running process, if there is one."""
        if self._process:
            with suppress(BrokenPipeError):  # it has just ended
                # A pipe, not a signal: a signal could reach the process before it has installed its handlers, and kill
                # it.
                os.write(self._pipe, order.value)

    def signal(self, number: Signals) -> None:
        """Send a signal to the running process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> bool:
        """Kill the running process; return whether there was one."""
        if self._process is None or self._process.returncode is not None:
            return False
        with suppress(ProcessLookupError):
            self._process.kill()
        return True
