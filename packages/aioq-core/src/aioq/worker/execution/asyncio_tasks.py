"""Runs jobs as plain tasks of an asyncio loop, which cancels them and measures their timeouts.

Starting and ending a job that does nothing takes 2 us of processor time this way, but 11 to 17 us as a child of an
anyio task group in a cancel scope: more than everything else that a worker does for the job. This module replaces what
a task group and a cancel scope would do: it holds references to the tasks, waits for them, reports their exceptions,
and does not cancel code inside a shielded scope.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, cast

import anyio

from aioq.worker.execution.coroutine_stack import coroutine_stack
from aioq.worker.execution.protocol import OVERRUN_AFTER, Body, Interrupted, OnOverrun, ignore_overrun

__all__ = ["AsyncioTasks", "is_shielded", "scopes_of_tasks"]

T = TypeVar("T")

CANCEL_EVERY = 1.0
"""Seconds after which a task that has not ended is cancelled again: it may have swallowed the cancellation."""

SHIELD_POLL_INTERVAL = 0.02
"""Seconds between checks whether a task has left a shielded scope; anyio offers no event for that."""


class AsyncioTask:
    """A `JobTask` in a task of the loop."""

    __slots__ = ("_interrupted", "_overrun", "_starter", "_subject", "_timer", "_working")

    def __init__(self, starter: AsyncioTasks, subject: object) -> None:
        self._starter = starter
        self._subject = subject
        self._working: asyncio.Task[object] | None = None
        """The task, while it awaits the work. Outside of that it must not be cancelled: it reports the outcome."""
        self._timer: asyncio.TimerHandle | None = None
        """The next call of `interrupt`: first at the timeout, then until the work ends."""
        self._overrun: asyncio.TimerHandle | None = None
        """The report that the work goes on; set at the first interrupt."""
        self._interrupted = False

    async def run(self, work: Awaitable[T], timeout: float | None) -> T:
        """Await the work; see `JobTask.run`."""
        self._working = asyncio.current_task()
        if timeout is not None:
            self._timer = self._starter.loop.call_later(timeout, self.interrupt)
        try:
            return await work
        except asyncio.CancelledError:
            # A cancellation that is not ours is the worker's end, or the task's own; the runner tells them apart.
            if self._interrupted:
                raise Interrupted from None
            raise
        finally:
            self._working = None
            if self._timer is not None:
                self._timer.cancel()
                if self._overrun is not None:
                    self._overrun.cancel()

    def interrupt(self) -> None:
        """Cancel the task now or after its shielded scope, and again until it ends; see `JobTask.interrupt`."""
        if self._working is None:
            return
        loop = self._starter.loop
        pause = CANCEL_EVERY
        if not is_shielded(self._working):
            self._interrupted = self._working.cancel()
        elif self._overrun is None or loop.time() < self._overrun.when():
            pause = SHIELD_POLL_INTERVAL  # a scope that lasts longer is looked at less often
        if self._overrun is None:
            self._overrun = loop.call_later(OVERRUN_AFTER, self._starter.on_overrun, self._subject)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(pause, self.interrupt)

    def stack(self) -> str:
        """Return the stack of the work; see `JobTask.stack`."""
        return coroutine_stack(self._working.get_coro()) if self._working is not None else ""


class AsyncioTasks:
    """Starts jobs as tasks of the running loop; see `JobTasks`."""

    def __init__(self, on_overrun: OnOverrun = ignore_overrun) -> None:
        self.loop = asyncio.get_running_loop()
        self.on_overrun = on_overrun
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds only weak references
        self._leaving = anyio.Event()
        self._empty = anyio.Event()
        # Only for the exceptions of jobs, and so that leaving the context waits for them.
        self._group = anyio.create_task_group()

    def start(self, body: Body[T], subject: T, name: str) -> None:
        """Start a task of the loop; see `JobTasks.start`."""
        task = self.loop.create_task(body(AsyncioTask(self, subject), subject), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._group.start_soon(self._wait_for_tasks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._leaving.set()
        return await self._group.__aexit__(kind, error, trace)

    async def _wait_for_tasks(self) -> None:
        """Keep the group open until all tasks have ended, even if the group is cancelled.

        The group does not know the tasks: it would end before them, and their outcomes would be reported too late.
        """
        with anyio.CancelScope(shield=True):
            await self._leaving.wait()
            while self._tasks:
                self._empty = anyio.Event()
                await self._empty.wait()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._empty.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # A done callback cannot raise to a caller: the group cancels the worker and raises the exception.
            self._group.start_soon(_raise, error)


async def _raise(error: BaseException) -> NoReturn:
    raise error


def scopes_of_tasks() -> Mapping[asyncio.Task[Any], Any]:
    """Return anyio's table of the scopes of tasks; empty if this release of anyio does not have it in this place."""
    # `Task.cancel` knows nothing of anyio's shields, and would break into code that a task protects with
    # `CancelScope(shield=True)`, typically its cleanup. anyio has no public way to ask for the scopes of another task,
    # so this reads the table from which anyio itself delivers cancellations. Without it shields are not respected.
    try:
        backend = import_module("anyio._backends._asyncio")
    except ImportError:
        return {}
    table: object = getattr(backend, "_task_states", None)
    return cast("Mapping[asyncio.Task[Any], Any]", table) if isinstance(table, Mapping) else {}


_scopes = scopes_of_tasks()


def is_shielded(task: asyncio.Task[Any]) -> bool:
    """Return whether `task` is inside a shielded scope of anyio, at any depth."""
    scope = getattr(_scopes.get(task), "cancel_scope", None)
    while scope is not None:
        if getattr(scope, "shield", False):
            return True
        # The scopes of a task group's host are parents of those of its children.
        scope = getattr(scope, "_parent_scope", None)
    return False
