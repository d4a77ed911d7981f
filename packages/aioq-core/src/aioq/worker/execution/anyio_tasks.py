"""Jobs as children of an anyio task group, each in a cancel scope: for every event loop that anyio knows."""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

import anyio

from aioq.worker.execution.protocol import Body, Interrupted

__all__ = ["AnyioTasks"]

T = TypeVar("T")


class AnyioTask:
    """A job in a cancel scope."""

    def __init__(self) -> None:
        self._scope = anyio.CancelScope()

    async def within(self, timeout: float | None, work: Awaitable[T]) -> T:
        """Do the work; see `JobTask.within`."""
        if timeout is not None:
            self._scope.deadline = anyio.current_time() + timeout
        with self._scope:
            return await work
        raise Interrupted

    def cancel(self) -> None:
        """Interrupt the work; see `JobTask.cancel`."""
        self._scope.cancel()


class AnyioTasks:
    """Starts jobs in a task group; see `JobTasks`."""

    def __init__(self) -> None:
        self._group = anyio.create_task_group()

    def start(self, body: Body[T], subject: T, name: str) -> None:
        """Call `body` in a task of its own."""
        self._group.start_soon(body, AnyioTask(), subject, name=name)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._group.__aexit__(kind, error, trace)
