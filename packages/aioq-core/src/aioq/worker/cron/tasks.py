"""The tasks that firing starts: counted, so that a worker that stops can wait for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from aioq.worker.log import logger

__all__ = ["CronTasks"]


class CronTasks:
    """Starts tasks in a group that is given later, and outlives the firing."""

    def __init__(self) -> None:
        self.group: TaskGroup | None = None
        self._running = 0
        self._idle = anyio.Event()

    def start(self, call: Callable[[], Awaitable[object]], name: str) -> None:
        """Start a task for the entry `name`. It counts from now on: a stop may come before its first step."""
        assert self.group is not None  # noqa: S101  # the worker gives it before anything fires
        self._running += 1
        self.group.start_soon(self._counted, call, name, name=f"cron {name}")

    async def wait_idle(self) -> None:
        """Wait until no task is left."""
        while self._running:
            await self._idle.wait()

    async def _counted(self, call: Callable[[], Awaitable[object]], name: str) -> None:
        try:
            await call()
        except Exception:
            logger.exception("a tick of cron task %s could not be dealt with", name, extra={"cron_name": name})
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
                self._idle = anyio.Event()
