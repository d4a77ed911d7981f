"""The worker: one task group that owns every duty, and the order in which they end."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskStatus

from aioq.app import Aarq
from aioq.clock import Clock, SystemClock, pass_time
from aioq.model.ids import check_name
from aioq.model.job import WorkerInfo
from aioq.options import number, whole
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cancellations import Cancellations
from aioq.worker.claimer import Claimer
from aioq.worker.cron import Cron
from aioq.worker.heartbeat import Heartbeat
from aioq.worker.leases import LeaseTable
from aioq.worker.log import logger
from aioq.worker.reaper import Reaper
from aioq.worker.runner import Cause, Runner
from aioq.worker.settler import Settler
from aioq.worker.shutdown import Shutdown, race
from aioq.worker.slots import Slots

__all__ = ["Worker"]

LAST_WORDS = 5.0
"""Seconds that a worker which is going has to report and to release what it holds."""

RUNNERS = ("asyncio.runners", "trio._core._ki")
"""Modules whose handlers of SIGINT merely raise KeyboardInterrupt, for want of anything better."""


class Worker:
    """Runs an app's jobs and fires its crons: `await Worker(app).run()`.

    Args:
        app: The app whose tasks are run.
        queues: The queues to consume, in order of preference; every queue that a task or
            cron entry of the app names when None.
        concurrency: Jobs that may run at the same time; 1 to 10,000.
        lease: Seconds after which another worker takes over the jobs of this one if it
            vanishes; 1 to 3600. Leases of running jobs are extended three times in it.
        max_block: Seconds for which a task may block the event loop and keep the leases of this
            worker; 0 to 86,400. Where the broker has no `ThreadedLeases` it is a lease at most.
        grace: Seconds that running jobs have to end after a stop; then they are cancelled
            and released to run again.
        poll: Seconds after which an idle worker asks for jobs even if nothing woke it: a third of
            `lease` at most and by default, or 5 by default where the broker wakes nobody.
        burst: End as soon as nothing is due and nothing runs; fire no crons.
        handle_signals: Stop on SIGTERM and SIGINT, unless the program handles them itself.
        id: What the worker is called; made of host, process and chance when None.
        clock: The worker's own clock, for tests.

    Raises:
        TypeError, ValueError: An argument is out of its range; the message names it.
    """

    def __init__(
        self,
        app: Aarq,
        *,
        queues: Iterable[str] | None = None,
        concurrency: int = 10,
        lease: float = 30.0,
        max_block: float = 60.0,
        grace: float = 25.0,
        poll: float | None = None,
        burst: bool = False,
        handle_signals: bool = True,
        id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        whole("concurrency", concurrency, 1, 10_000)
        number("lease", lease, 1, 3600)
        number("max_block", max_block, 0, 86_400)
        number("grace", grace, 0, 86_400)
        if poll is not None:
            number("poll", poll, 0.01, 3600)
        self.app = app
        self.id = _default_id() if id is None else check_name("worker id", id)
        self.queues = _queues(app, queues)
        self._grace, self._burst, self._handle_signals = grace, burst, handle_signals
        self._clock: Clock = clock or SystemClock()
        self._shutdown = Shutdown()
        self._slots, self._leases = Slots(concurrency), LeaseTable()
        self._retry = BrokerRetry(self._clock)
        broker, retry, leases = app.broker, self._retry, self._leases
        self._cron = Cron(app, self.id, self.queues, retry, self._shutdown, self._clock)
        self._settler = Settler(broker, retry, leases, self._cron.jobs.settled)
        self._runner = Runner(app, self.id, self._slots, leases, self._settler, self._cron.jobs)
        self._claimer = Claimer(
            broker, self.id, self.queues, lease=lease, poll=poll, burst=burst,
            slots=self._slots, leases=leases, retry=retry, shutdown=self._shutdown, clock=self._clock,
        )  # fmt: skip
        self._heartbeat = Heartbeat(broker, retry, leases, self._clock, lease=lease, max_block=max_block)
        self._reaper = Reaper(broker, retry, self.queues, self._clock, lease=lease)
        self._cancellations = Cancellations(broker, self.id, self._clock)
        self._started_at = 0.0
        self._startup: anyio.CancelScope | None = None
        self._outstayed = anyio.Event()

    def stop(self) -> None:
        """Stop claiming and firing, and end when the running jobs have; a second call aborts them.

        Aborted jobs are released, and run again elsewhere with their attempt given back. A worker
        that is still starting, in the app's lifespan for example, gives that up.
        """
        self._shutdown.request()
        if self._startup is not None:
            self._startup.cancel()

    async def wait_outstayed(self) -> None:
        """Wait until the worker has ended, but for tasks that go on although they were cancelled.

        Their jobs were given back, and run elsewhere. `run` returns when the tasks have ended; a
        program that has nothing else to do had better end before.
        """
        await self._outstayed.wait()
        await self._leave()

    async def run(self) -> None:
        """Work until stopped, or, in a burst, until there is nothing left to do.

        Once it runs, no error of the broker ends it. Cancelling it releases what it holds. It
        connects the app and closes it in the end, unless the program had connected it before.

        Raises:
            TaskDefinitionError: A task has annotations that no call could travel by.
            BrokerUnavailable: The broker cannot be reached at the start.
            BrokerConfigError: The broker will never do; says why.
        """
        for task in self.app.tasks:
            _ = task.signature  # better now than with the first job
        if self._shutdown.requested:
            return
        with anyio.CancelScope() as self._startup:
            await self._run()

    async def _run(self) -> None:
        async with self._connection(), self._lifespan() as shared:
            self._startup = None
            self._started_at = self._clock.time()
            self._runner.shared = shared
            self._cron.share(shared)
            try:
                await self._work()
            finally:
                await self._leave()

    async def _work(self) -> None:
        async with anyio.create_task_group() as duties:
            await duties.start(self._listen_to_signals)
            self._hello()
            duties.start_soon(self._settler.run)
            duties.start_soon(self._heartbeat.run, self._info, partial(self._runner.cancel, cause=Cause.LOST))
            duties.start_soon(self._reaper.run)
            duties.start_soon(self._cron.keep)
            duties.start_soon(self._cancellations.run, partial(self._runner.cancel, cause=Cause.CANCELLED))
            async with anyio.create_task_group() as jobs, self._runner.running():
                async with anyio.create_task_group() as firing:
                    if not self._burst:
                        firing.start_soon(race, partial(self._cron.run, jobs), self._shutdown.draining.wait)
                    await self._claimer.run(self._runner.start, self._runner.give_back)
                    firing.cancel_scope.cancel()
                await self._drain()
                jobs.cancel_scope.cancel()
                duties.start_soon(self._outstay)
            with anyio.move_on_after(LAST_WORDS):
                await self._settler.wait_flushed()
            duties.cancel_scope.cancel()

    async def _drain(self) -> None:
        """Let what runs end within the grace, or until a second stop; then cancel it."""
        if self._slots.taken:
            logger.info("stopping: %d jobs have up to %g s to end", self._slots.taken, self._grace)

        async def finish() -> None:
            await self._slots.wait_idle()
            await self._cron.wait_idle()

        await race(finish, self._shutdown.aborting.wait, partial(pass_time, self._clock, self._grace))
        self._runner.cancel_all()
        with anyio.move_on_after(LAST_WORDS):
            await self._slots.wait_idle()
        self._runner.disown()

    async def _outstay(self) -> None:
        """Note that tasks hold up the end, unless it comes before."""
        await anyio.sleep(LAST_WORDS)
        with anyio.move_on_after(LAST_WORDS):
            await self._settler.wait_flushed()
        self._outstayed.set()

    async def _leave(self) -> None:
        """Give back the leases that are still held, and say goodbye, cancelled or not."""
        try:
            with anyio.fail_after(LAST_WORDS, shield=True):
                await self._settler.close()
                await self._cron.close()
                await self._heartbeat.leave(self.id)
        except Exception as error:
            logger.warning(
                "the broker did not hear the last report; up to %d jobs run again when their lease is over: %s",
                len(self._leases),
                error_text(error),
            )
        logger.info("worker %s stopped", self.id)

    async def _listen_to_signals(self, *, task_status: TaskStatus[None]) -> None:
        names = [name for name in (signal.SIGTERM, signal.SIGINT) if self._handle_signals and _is_free(name)]
        if not names or threading.current_thread() is not threading.main_thread():
            task_status.started()
            return
        with anyio.open_signal_receiver(*names) as signals:
            task_status.started()
            async for name in signals:
                logger.info("got %s", name.name)
                self.stop()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[None]:
        """Connect the app, and close it at the end unless the program had connected it."""
        mine = not self.app.connected
        await self.app.connect()
        try:
            yield
        finally:
            if mine:
                await self._close()

    async def _close(self) -> None:
        try:
            with anyio.fail_after(LAST_WORDS, shield=True):
                await self.app.close()
        except Exception as error:
            logger.warning("the connection could not be closed: %s", error_text(error))

    @asynccontextmanager
    async def _lifespan(self) -> AsyncGenerator[Mapping[str, Any]]:
        if self.app.lifespan is None:
            yield {}
            return
        async with self.app.lifespan(self.app) as shared:
            yield shared or {}

    def _info(self) -> WorkerInfo:
        return WorkerInfo(
            id=self.id,
            queues=self.queues,
            concurrency=self._slots.total,
            running=self._slots.taken,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
        )

    def _hello(self) -> None:
        logger.info(
            "worker %s started: queues %s, %d at a time, %d tasks, %d crons, %r",
            self.id, ", ".join(self.queues), self._slots.total,
            len(self.app.tasks), 0 if self._burst else len(self._cron.entries), self.app.broker,
        )  # fmt: skip


def _default_id() -> str:
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()[:40])
    return f"{host}-{os.getpid()}-{os.urandom(3).hex()}"


def _queues(app: Aarq, queues: Iterable[str] | None) -> tuple[str, ...]:
    if isinstance(queues, str):
        raise TypeError(f"queues must be several names, got the text {queues!r}; write queues=[{queues!r}]")
    chosen = tuple(dict.fromkeys(check_name("queue", queue) for queue in queues)) if queues is not None else app.queues
    if not chosen:
        raise ValueError("queues must name at least one queue")
    return chosen


def _is_free(name: signal.Signals) -> bool:
    """Whether a signal still does what Python, or for SIGINT the runner of the event loop, makes it do."""
    handler = signal.getsignal(name)
    owner = getattr(getattr(handler, "func", handler), "__module__", None)
    return handler in (signal.SIG_DFL, signal.default_int_handler) or owner in RUNNERS
