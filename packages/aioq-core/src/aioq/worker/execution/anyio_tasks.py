"""Runs jobs as children of an anyio task group, each in its own cancel scope. Works on every event loop of anyio."""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

import anyio

from aioq.worker.execution.protocol import Body, Interrupted

__all__ = ["AnyioTasks"]

T = TypeVar("T")


class AnyioTask:
    """A `JobTask` in a cancel scope."""

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()

    async def run(self, work: Awaitable[T], timeout: float | None) -> T:
        """Await the work; see `JobTask.run`."""
        # An interrupt that came before has cancelled the scope: the work ends at its first await.
        if timeout is not None:
            self._scope.deadline = anyio.current_time() + timeout
        with self._scope:
            return await work
        # The scope swallows its own cancellation only; that of a scope around it goes on.
        raise Interrupted

    def interrupt(self) -> None:
        """Cancel the scope; see `JobTask.interrupt`."""
        self._scope.cancel()


class AnyioTasks:
    """Starts jobs in a task group; see `JobTasks`."""

    def __init__(self) -> None:
        self._group = anyio.create_task_group()

    def start(self, body: Body[T], subject: T, name: str) -> None:
        """Start a child of the task group; see `JobTasks.start`."""
        self._group.start_soon(body, AnyioTask(), subject, name=name)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._group.__aexit__(kind, error, trace)
