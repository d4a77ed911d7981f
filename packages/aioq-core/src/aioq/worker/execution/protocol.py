"""How a job is started and cut short: the seam between the runner and the event loop.

Each job has a task with context variables of its own, can be cancelled alone, and may have
a deadline. `plain_tasks` does that the cheapest way on asyncio, `scoped_tasks` wherever anyio
runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar

__all__ = ["Body", "Interrupted", "JobTask", "JobTasks"]

T = TypeVar("T")


class Interrupted(Exception):
    """The work was cut short: it was cancelled, or its time was up."""


class JobTask(Protocol):
    """A job that has begun."""

    async def within(self, timeout: float | None, work: Awaitable[T]) -> T:
        """Do the work of the job, and return what it returns. Called once, by the job itself.

        What the work raises is raised as it is, even if it raises it because it was cut short.

        Args:
            timeout: Seconds after which the work is cut short; None for never.

        Raises:
            Interrupted: The work was cut short, and gave way.
        """
        ...

    def cancel(self) -> None:
        """Interrupt the work; a shield of anyio's is waited for. Nothing when it is done."""
        ...


Body: TypeAlias = Callable[[JobTask, T], Coroutine[Any, Any, None]]


class JobTasks(Protocol):
    """Starts jobs, and owns what it started: to leave it is to wait until all have ended.

    An error that leaves a job, which only a mistake of ours can be, leaves the starter too.
    """

    def start(self, body: Body[T], subject: T, name: str) -> None:
        """Call `body` on `subject` in a task of its own, soon."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...
