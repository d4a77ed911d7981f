"""Calls a cron's function: with its context, within its timeout. A worker also logs failures and calls `on_error`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from aioq.app import Aarq
from aioq.callables import is_async, name_of
from aioq.clock import Clock, pass_time
from aioq.cron import CronEntry
from aioq.instrumentation import TickRun, watched
from aioq.serialization.failure import describe, in_full, in_short
from aioq.threads import in_bounded_thread
from aioq.worker.log import logger
from aioq.worker.shutdown import being_cancelled

__all__ = ["CronRun", "Interrupted", "Invoker", "REPLACED", "RunEnd", "STOPPED"]

REPLACED = "interrupted: a newer run took its place"
STOPPED = "interrupted: the worker stopped"


class Interrupted(Exception):
    """A run was cancelled from outside; the text says why."""


@dataclass(slots=True, eq=False)
class CronRun:
    """A run of a cron's function, or one that waits for an earlier one to end."""

    entry: CronEntry
    tick: datetime
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    cause: Exception | None = None
    """Why the run was cancelled."""

    def cancel(self, cause: Exception) -> None:
        """Cancel the run. The first cause counts."""
        if self.cause is None:
            self.cause = cause
            self.scope.cancel()


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended: what its function returned, or the exception that it ended with."""

    value: Any = None
    error: BaseException | None = None


class Invoker:
    """Calls the functions of crons. Whatever a function raises, SystemExit included, ends its run and nothing else."""

    def __init__(self, app: Aarq, worker_id: str, clock: Clock) -> None:
        self._app = app
        self._worker_id = worker_id
        self._clock = clock
        self.shared: Mapping[str, Any] = {}
        """What the app's lifespan has yielded: part of every context."""

    async def invoke(self, run: CronRun) -> RunEnd:
        """Call the function of a run, until it ends, times out or is cancelled by `CronRun.cancel`."""
        return await self._call(run, self._context(run))

    async def process(self, run: CronRun) -> str:
        """Call the function of a run, log its failure, and pass that to `on_error`.

        Returns:
            The error in one line; empty if the run succeeded. An interrupted run is not logged.
        """
        context = self._context(run)  # on_error gets the context that the function had
        error = (await self._call(run, context)).error
        if error is None:
            return ""
        if isinstance(error, Interrupted):
            return str(error)
        failure = describe(error)
        logger.error(
            "Cron task %s failed: %s",
            name_of(run.entry.function),
            in_short(failure),
            exc_info=error,
            extra={"event": "cron_failed", "cron_name": run.entry.name},
        )
        await self._call_on_error(run, context, error)
        return in_full(failure)

    async def _call(self, run: CronRun, context: dict[str, Any]) -> RunEnd:
        if not (instruments := self._app.instruments):
            return await self._within_timeout(run, context)
        tick = TickRun(run.entry.name, run.entry.queue, run.tick, self._worker_id)
        with watched([one.ticking for one in instruments], tick):
            end = await self._within_timeout(run, context)
            if isinstance(end.error, Interrupted):
                tick.interrupted = str(end.error)
            else:
                tick.error = end.error
        return end

    async def _within_timeout(self, run: CronRun, context: dict[str, Any]) -> RunEnd:
        entry, timeout = run.entry, run.entry.options.timeout
        call = partial(entry.function, context, *entry.args, **entry.kwargs)
        if timeout is None:
            return await _call_in_scope(run, call)
        end = RunEnd()
        async with anyio.create_task_group() as watch:
            watch.start_soon(self._time_out, run, timeout)
            end = await _call_in_scope(run, call)
            watch.cancel_scope.cancel()
        return end

    async def _time_out(self, run: CronRun, timeout: float) -> None:
        # Not by the scope's deadline: that is measured by the event loop, and a test's virtual clock does not move it.
        await pass_time(self._clock, timeout)
        run.cancel(TimeoutError(f"timed out after {timeout:g} s"))

    async def _call_on_error(self, run: CronRun, context: dict[str, Any], error: BaseException) -> None:
        """Call `on_error`. If it fails in turn, that is logged and has no other effect."""
        on_error = run.entry.on_error
        if on_error is None:
            return
        failure = (await _contained(partial(on_error, context, error), is_async=is_async(on_error))).error
        if failure is not None:
            logger.error(
                "on_error of cron task %s failed: %s",
                name_of(run.entry.function),
                in_short(describe(failure)),
                exc_info=failure,
                extra={"event": "cron_on_error_failed", "cron_name": run.entry.name},
            )

    def _context(self, run: CronRun) -> dict[str, Any]:
        return {
            # First, so that a key of the lifespan cannot replace a key of the tick.
            **self.shared,
            "worker_id": self._worker_id,
            "broker": self._app.broker,
            "cron_name": run.entry.name,
            "scheduled_at": run.tick.astimezone(run.entry.zone),
            "fired_at": datetime.fromtimestamp(self._clock.time(), UTC),
        }


async def _call_in_scope(run: CronRun, call: Callable[[], Any]) -> RunEnd:
    with run.scope:
        return await _contained(call, is_async=run.entry.is_async)
    # The scope has swallowed the cancellation by `CronRun.cancel`.
    return RunEnd(error=run.cause)


async def _contained(call: Callable[[], Any], *, is_async: bool) -> RunEnd:
    """Make a call, in a thread if it is not async. Only a cancellation from outside passes through."""
    try:
        return RunEnd(await (call() if is_async else in_bounded_thread(call)))
    except anyio.get_cancelled_exc_class() as error:
        if being_cancelled():
            raise
        return RunEnd(error=error)  # the function raised it by itself
    except BaseException as error:
        # An exception while the run is being cancelled is a consequence of that, and no failure of the function.
        await checkpoint_if_cancelled()
        return RunEnd(error=error)
