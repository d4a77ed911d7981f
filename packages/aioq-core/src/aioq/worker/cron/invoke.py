"""Calls a cron's function: with its context, within its timeout, and tells of its failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from aioq.app import Aarq
from aioq.clock import Clock, pass_time
from aioq.registry import in_thread, is_async, name_of
from aioq.serialization.failure import describe, in_full, in_short
from aioq.worker.cron.run import CronRun, CutShort
from aioq.worker.log import logger
from aioq.worker.shutdown import being_cancelled

__all__ = ["Caller"]


class Caller:
    """Makes the calls. Whatever a function raises ends its run, and nothing else."""

    def __init__(self, app: Aarq, worker_id: str, clock: Clock) -> None:
        self._app, self._worker_id, self._clock = app, worker_id, clock
        self.shared: Mapping[str, Any] = {}

    async def call(self, run: CronRun) -> str:
        """Call the function of a run to its end; return why it failed, in one line, or nothing.

        A run that was cut short has not failed by itself: nothing is logged of it.
        """
        context = self._context(run)
        error = await self._within_timeout(run, context)
        if error is None:
            return ""
        if isinstance(error, CutShort):
            return str(error)
        failure = describe(error)
        logger.error(
            "Cron task %s failed: %s",
            name_of(run.entry.function),
            in_short(failure),
            exc_info=error,
            extra={"cron_name": run.entry.name},
        )
        await self._tell(run, context, error)
        return in_full(failure)

    async def _within_timeout(self, run: CronRun, context: dict[str, Any]) -> BaseException | None:
        entry, timeout = run.entry, run.entry.options.timeout
        call = partial(entry.function, context, *entry.args, **entry.kwargs)
        if timeout is None:
            return await _attempt(run, call, entry.function)
        error: BaseException | None = None
        async with anyio.create_task_group() as watch:
            watch.start_soon(self._alarm, run, timeout)
            error = await _attempt(run, call, entry.function)
            watch.cancel_scope.cancel()
        return error

    async def _alarm(self, run: CronRun, timeout: float) -> None:
        await pass_time(self._clock, timeout)
        run.cancel(TimeoutError(f"timed out after {timeout:g} s"))

    async def _tell(self, run: CronRun, context: dict[str, Any], error: BaseException) -> None:
        """Call `on_error`. Its own failure is logged and goes no further."""
        on_error = run.entry.on_error
        if on_error is None:
            return
        failure = await _contained(partial(on_error, context, error), on_error)
        if failure is not None:
            logger.error(
                "on_error of cron task %s failed: %s",
                name_of(run.entry.function),
                in_short(describe(failure)),
                exc_info=failure,
                extra={"cron_name": run.entry.name},
            )

    def _context(self, run: CronRun) -> dict[str, Any]:
        return {
            **self.shared,
            "worker_id": self._worker_id,
            "broker": self._app.broker,
            "cron_name": run.entry.name,
            "scheduled_at": run.moment,
            "fired_at": datetime.fromtimestamp(self._clock.time(), UTC),
        }


async def _attempt(run: CronRun, call: Callable[[], Any], function: Callable[..., Any]) -> BaseException | None:
    with run.scope:
        return await _contained(call, function)
    return run.cause


async def _contained(call: Callable[[], Any], function: Callable[..., Any]) -> BaseException | None:
    """Make a call, in a thread if need be; return what it raises, unless somebody cancels it."""
    try:
        await (call() if is_async(function) else in_thread(call))
    except anyio.get_cancelled_exc_class() as error:
        if being_cancelled():
            raise
        return error
    except BaseException as error:  # a task that raises SystemExit ends itself, not the worker
        await checkpoint_if_cancelled()  # what it raises while it is being cancelled is no failure of its own
        return error
    return None
