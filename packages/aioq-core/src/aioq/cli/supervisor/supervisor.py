"""Runs several worker processes: restarts those that end, and stops all of them on a signal."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import anyio

from aioq.cli.exit_codes import Exit
from aioq.cli.signals import SignalReceiver
from aioq.cli.supervisor.child import Child
from aioq.cli.supervisor.control_pipe import Order
from aioq.cli.supervisor.orphans import reap_orphans
from aioq.cli.supervisor.restart_policy import (
    AS_PLANNED,
    STABLE_AFTER,
    Decision,
    ProcessExit,
    decide,
    exit_text,
    restart_delay,
)
from aioq.worker.shutdown import Shutdown, race

__all__ = ["Supervisor"]

SHUTDOWN_TIMEOUT: Final = 25.0
"""Seconds for a worker to report outcomes and release leases, after its grace or after the order to abort."""

logger = logging.getLogger("aioq.supervisor")


class Supervisor:
    """Runs several worker processes until it is stopped, or until all of them have ended.

    The first SIGTERM or SIGINT orders the workers to drain, the second to abort. A process that ends without an order
    is restarted: at once, or after a growing delay if one process after another ends soon after its start. If a
    process ends because of its arguments or its configuration, the supervisor stops all of them.

    Args:
        commands: The command line of each process.
        grace: Seconds for running jobs to end after the order to drain.
        burst: Whether the workers end by themselves.
        environment: Environment variables of the processes, in addition to those of this one.
        on_ended: Called with the id of each process that has ended.

    Attributes:
        children: The worker processes, in the order of `commands`.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        grace: float,
        burst: bool = False,
        environment: Mapping[str, str] | None = None,
        on_ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.children = [Child(f"worker process {n}", command, environment) for n, command in enumerate(commands, 1)]
        self._on_ended = on_ended
        self._grace = grace
        self._burst = burst
        self._shutdown = Shutdown()
        self._code: int = Exit.OK

    def stop(self) -> None:
        """Order the workers to drain; the second call orders them to abort."""
        self._shutdown.request()

    async def run(self) -> int:
        """Run the processes until all have ended; return the exit code of the command."""
        # Before the first process: a signal in between would end the supervisor alone.
        receiver = SignalReceiver(self.stop, forced=False, on_stacks=self._forward_stacks, logger=logger)
        async with receiver.receiving(), anyio.create_task_group() as duties:
            duties.start_soon(self._shut_down)
            duties.start_soon(reap_orphans, lambda: {child.pid for child in self.children})
            async with anyio.create_task_group() as children:
                for child in self.children:
                    children.start_soon(self._keep_running, child)
            duties.cancel_scope.cancel()
        logger.info("all worker processes have ended", extra={"event": "supervisor_stopped"})
        return self._code

    def _forward_stacks(self) -> None:
        for child in self.children:
            child.signal(signal.SIGQUIT)

    async def _shut_down(self) -> None:
        """Send the orders to drain and to abort, and kill the processes that do not end in time."""
        await self._shutdown.draining.wait()
        self._send(Order.DRAIN)
        # The worker itself stops waiting after its grace. The supervisor acts only if it does not.
        await race(self._shutdown.aborting.wait, partial(anyio.sleep, self._grace + SHUTDOWN_TIMEOUT))
        self._send(Order.ABORT)
        # A worker that is aborted early gets this time now; after its grace it has had it already.
        if self._shutdown.aborting.is_set():
            await anyio.sleep(SHUTDOWN_TIMEOUT)
        for child in self.children:
            pid = child.pid
            if child.kill():
                logger.warning(
                    "killed %s (pid %d), which did not end in time", child.name, pid, extra={"event": "process_killed"}
                )

    def _send(self, order: Order) -> None:
        for child in self.children:
            child.send(order)

    async def _keep_running(self, child: Child) -> None:
        """Run a process, and restart it whenever it ends, until it is no longer needed."""
        failures = 0
        while not self._shutdown.requested:
            started = anyio.current_time()
            ended = await self._run(child)
            # Counted for each process: one that ran for a while has shown that its configuration works.
            failed = ended.code != Exit.MAX_JOBS and anyio.current_time() - started < STABLE_AFTER
            failures = failures + 1 if failed else 0
            match decide(ended):
                case Decision.DONE:
                    self._note_end(ended)
                    return
                case Decision.GIVE_UP:
                    self._give_up(child, ended)
                    return
                case Decision.RESTART:
                    await self._wait_to_restart(child, ended, restart_delay(failures))

    async def _run(self, child: Child) -> ProcessExit:
        """Run a process to its end. If the system cannot start it, that counts as a failed start."""
        try:
            code = await self._exit_code(child)
        except OSError as error:
            logger.warning("could not start %s: %s", child.name, error, extra={"event": "process_not_started"})
            code = Exit.FAILED
        return ProcessExit(code=code, stopping=self._shutdown.requested, burst=self._burst)

    async def _exit_code(self, child: Child) -> int:
        async with child.running() as process:
            pid = process.pid
            logger.info("%s started (pid %d)", child.name, pid, extra={"event": "process_started"})
            if self._shutdown.requested:  # while the process was being started
                child.send(Order.ABORT if self._shutdown.aborting.is_set() else Order.DRAIN)
            code = await process.wait()
        self._on_ended(pid)
        level = logging.INFO if code in AS_PLANNED else logging.WARNING
        logger.log(level, "%s (pid %d) %s", child.name, pid, exit_text(code), extra={"event": "process_ended"})
        return code

    def _note_end(self, ended: ProcessExit) -> None:
        if ended.code not in AS_PLANNED and self._code == Exit.OK:
            self._code = Exit.FAILED

    def _give_up(self, child: Child, ended: ProcessExit) -> None:
        if not self._shutdown.requested:
            logger.error(
                "%s would fail again in the same way; stopping all worker processes",
                child.name,
                extra={"event": "process_gives_up"},
            )
            self.stop()
        # The code of the process that caused the end, so that a service manager sees a configuration error as one.
        self._code = ended.code

    async def _wait_to_restart(self, child: Child, ended: ProcessExit, delay: float) -> None:
        if delay:
            logger.warning("restarting %s in %g s", child.name, delay, extra={"event": "process_restarts"})
            await race(self._shutdown.draining.wait, partial(anyio.sleep, delay))
        # A stop during the pause: there is no later process whose end would be noted.
        if self._shutdown.requested:
            self._note_end(ended)
