"""Runs jobs as children of an anyio task group, each in its own cancel scope. Works on every event loop of anyio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from aioq.worker.execution.coroutine_stack import coroutine_stack
from aioq.worker.execution.protocol import OVERRUN_AFTER, Body, Interrupted, OnOverrun, ignore_overrun

__all__ = ["AnyioTasks"]

T = TypeVar("T")


class AnyioTask:
    """A `JobTask` in a cancel scope."""

    def __init__(self, group: TaskGroup, report_overrun: Callable[[], None]) -> None:
        self._scope = anyio.CancelScope()
        self._group = group
        self._report_overrun = report_overrun
        self._coroutine: object = None
        """The task's coroutine, while it awaits the work."""
        self._ended = anyio.Event()

    async def run(self, work: Awaitable[T], timeout: float | None) -> T:
        """Await the work; see `JobTask.run`."""
        self._coroutine = anyio.get_current_task().coro
        # An interrupt that came before has cancelled the scope: the work ends at its first await.
        if timeout is not None or self._scope.cancel_called:
            self._group.start_soon(self._interrupt_after, timeout or 0.0)
        try:
            with self._scope:
                return await work
        finally:
            self._coroutine = None
            self._ended.set()
        # The scope swallows its own cancellation only; that of a scope around it goes on.
        raise Interrupted

    def interrupt(self) -> None:
        """Cancel the scope; see `JobTask.interrupt`."""
        if self._coroutine is not None and not self._scope.cancel_called:
            self._group.start_soon(self._watch_overrun)
        self._scope.cancel()

    def stack(self) -> str:
        """Return the stack of the work; see `JobTask.stack`."""
        return coroutine_stack(self._coroutine)

    async def _interrupt_after(self, seconds: float) -> None:
        if not await self._ends_within(seconds):
            self._scope.cancel()
            await self._watch_overrun()

    async def _watch_overrun(self) -> None:
        if not await self._ends_within(OVERRUN_AFTER):
            self._report_overrun()

    async def _ends_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._ended.wait()
        return self._ended.is_set()


class AnyioTasks:
    """Starts jobs in a task group; see `JobTasks`."""

    def __init__(self, on_overrun: OnOverrun = ignore_overrun) -> None:
        self._group = anyio.create_task_group()
        self._on_overrun = on_overrun

    def start(self, body: Body[T], subject: T, name: str) -> None:
        """Start a child of the task group; see `JobTasks.start`."""
        task = AnyioTask(self._group, partial(self._on_overrun, subject))
        self._group.start_soon(body, task, subject, name=name)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._group.__aexit__(kind, error, trace)
