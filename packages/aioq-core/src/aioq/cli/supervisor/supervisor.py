"""The supervisor: keeps so many worker processes up, and passes on what it is told."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from functools import partial

import anyio
from anyio.abc import TaskStatus

from aioq.cli.exit_codes import Exit
from aioq.cli.supervisor.child import Child
from aioq.cli.supervisor.control_pipe import Order
from aioq.cli.supervisor.restart_policy import STEADY, Next, ProcessExit, exit_text, restart_delay, verdict
from aioq.worker.shutdown import Shutdown, race

__all__ = ["Supervisor"]

LAST_WORDS = 25.0
"""Seconds that a worker has to report and to leave, after its grace or when it was told to abort."""

logger = logging.getLogger("aioq.supervisor")


class Supervisor:
    """Runs several worker processes until it is stopped, or until they have all come to their end.

    The first SIGTERM or SIGINT has them drain, the second abort. A process that ends unasked is
    replaced: at once, or after a growing pause where one after the other dies soon after its
    start. One that ends because it cannot be started like this, for its arguments or its
    configuration, ends them all.

    Args:
        commands: What to start, for each process.
        grace: Seconds that a worker lets its jobs have after it was told to drain.
        burst: Whether the workers are to end by themselves.
    """

    def __init__(self, commands: Sequence[Sequence[str]], *, grace: float, burst: bool = False) -> None:
        self._children = [Child(f"worker process {n}", command) for n, command in enumerate(commands, 1)]
        self._grace, self._burst = grace, burst
        self._shutdown = Shutdown()
        self._code: int = Exit.OK

    def stop(self) -> None:
        """Have the workers drain; a second call has them abort."""
        self._shutdown.request()

    async def run(self) -> int:
        """Keep the processes up until stopped; return the exit code for all of them."""
        async with anyio.create_task_group() as duties:
            await duties.start(self._listen_to_signals)
            duties.start_soon(self._see_off)
            async with anyio.create_task_group() as children:
                for child in self._children:
                    children.start_soon(self._keep_up, child)
            duties.cancel_scope.cancel()
        logger.info("all worker processes have ended")
        return self._code

    async def _listen_to_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                logger.info("got %s", number.name)
                self.stop()

    async def _see_off(self) -> None:
        """Pass on that it is time to drain and to abort, and kill what hears of neither."""
        await self._shutdown.draining.wait()
        self._tell(Order.DRAIN)
        await race(self._shutdown.aborting.wait, partial(anyio.sleep, self._grace + LAST_WORDS))
        self._tell(Order.ABORT)
        if self._shutdown.aborting.is_set():
            await anyio.sleep(LAST_WORDS)
        for child in self._children:
            pid = child.pid
            if child.kill():
                logger.warning("%s (pid %d) did not end in time and was killed", child.name, pid)

    def _tell(self, order: Order) -> None:
        for child in self._children:
            child.tell(order)

    async def _keep_up(self, child: Child) -> None:
        """Have a process of that name up until it is no longer wanted."""
        deaths = 0
        while not self._shutdown.requested:
            started = anyio.current_time()
            death = await self._run(child)
            deaths = deaths + 1 if anyio.current_time() - started < STEADY else 0
            match verdict(death):
                case Next.DONE:
                    self._note_end(death)
                    return
                case Next.GIVE_UP:
                    self._give_up(child, death)
                    return
                case Next.AGAIN:
                    await self._pause(child, death, restart_delay(deaths))

    async def _run(self, child: Child) -> ProcessExit:
        """Start a process, and return how it ended. One that the system cannot start has died at once."""
        try:
            code = await self._code_of(child)
        except OSError as error:
            logger.warning("%s could not be started: %s", child.name, error)
            code = Exit.FAILED
        return ProcessExit(code=code, stopping=self._shutdown.requested, burst=self._burst)

    async def _code_of(self, child: Child) -> int:
        async with child.running() as process:
            pid = process.pid
            logger.info("%s started (pid %d)", child.name, pid)
            if self._shutdown.requested:  # while it was being started
                child.tell(Order.ABORT if self._shutdown.aborting.is_set() else Order.DRAIN)
            code = await process.wait()
        logger.log(
            logging.INFO if code == Exit.OK else logging.WARNING, "%s (pid %d) %s", child.name, pid, exit_text(code)
        )  # fmt: skip
        return code

    def _note_end(self, death: ProcessExit) -> None:
        if death.code != Exit.OK and self._code == Exit.OK:
            self._code = Exit.FAILED

    def _give_up(self, child: Child, death: ProcessExit) -> None:
        if not self._shutdown.requested:
            logger.error("%s would end the same way again; stopping the others", child.name)
            self.stop()
        self._code = death.code

    async def _pause(self, child: Child, death: ProcessExit, pause: float) -> None:
        if pause:
            logger.warning("%s is started again in %g s", child.name, pause)
            await race(self._shutdown.draining.wait, partial(anyio.sleep, pause))
        if self._shutdown.requested:
            self._note_end(death)
