"""The interface by which the runner starts and interrupts jobs, implemented once for each kind of event loop.

Each job runs in its own task with its own context variables, can be interrupted alone, and may have a timeout.
`asyncio_tasks` does this with plain asyncio tasks, which cost the least; `anyio_tasks` works on every event loop that
anyio supports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar

__all__ = ["OVERRUN_AFTER", "Body", "Interrupted", "JobTask", "JobTasks", "OnOverrun", "ignore_overrun"]

T = TypeVar("T")

OVERRUN_AFTER = 0.5
"""Seconds that interrupted work has to end: to clean up, or to report an error of its own."""

OnOverrun: TypeAlias = Callable[[Any], None]
"""Called with the subject of a job's task if its work goes on `OVERRUN_AFTER` seconds after it was interrupted."""


def ignore_overrun(_: object) -> None:
    """Do nothing about work that goes on."""


class Interrupted(Exception):
    """The work of a job was interrupted: it was cancelled, or its timeout expired."""


class JobTask(Protocol):
    """The task that runs one job."""

    async def run(self, work: Awaitable[T], timeout: float | None) -> T:
        """Await the work of the job and return its result. The job itself calls this, once.

        An exception of the work is raised unchanged, even if the work raised it because it was interrupted.

        Args:
            timeout: Seconds after which the work is interrupted; None for no limit.

        Raises:
            Interrupted: The work was interrupted, and ended because of it.
        """
        ...

    def interrupt(self) -> None:
        """Interrupt the work, once it is outside every shielded scope of anyio. Does nothing after its end."""
        ...

    def stack(self) -> str:
        """Return the stack of the work, innermost frame last; empty outside of `run`."""
        ...


Body: TypeAlias = Callable[[JobTask, T], Coroutine[Any, Any, None]]
"""What runs in the task of a job; takes the task and a value of the caller's."""


class JobTasks(Protocol):
    """Starts jobs and owns their tasks: leaving the context waits until all of them have ended.

    A body must not raise. If one does, because of a bug in the worker, the context raises its exception.
    """

    def start(self, body: Body[T], subject: T, name: str) -> None:
        """Call `body` with `subject` in a new task, in the next round of the event loop."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...
