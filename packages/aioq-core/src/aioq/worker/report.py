"""Describes a worker for the broker's list of workers: its place, its slots, and what it runs."""

from __future__ import annotations

import os
import socket
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from aioq.model.tasks import TaskInfo
from aioq.model.workers import WorkerInfo
from aioq.task_changes import describe_tasks
from aioq.worker.heartbeat import Heartbeat
from aioq.worker.overruns import Overruns
from aioq.worker.runner import Runner
from aioq.worker.runtime import Runtime

__all__ = ["WorkerReport", "resident_memory"]

STATM: Final = "/proc/self/statm"


class WorkerReport:
    """Builds the description anew for each heartbeat, so that running jobs pay nothing for it."""

    def __init__(
        self, runtime: Runtime, *, all_queues: bool, runner: Runner, heartbeat: Heartbeat, overruns: Overruns
    ) -> None:
        self._app = runtime.app
        self._worker_id = runtime.worker_id
        self._queues = runtime.queues
        self._weights = runtime.weights
        self._slots = runtime.slots
        self._all_queues = all_queues
        self._runner = runner
        self._heartbeat = heartbeat
        self._overruns = overruns

    def describe(self, started_at: float) -> WorkerInfo:
        """Return the description of a worker that was started at a time in seconds since 1970."""
        return WorkerInfo(
            id=self._worker_id,
            queues=self._queues,
            concurrency=self._slots.total,
            running=self._slots.taken,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            started_at=started_at,
            app=self._app.name,
            all_queues=self._all_queues,
            weights=tuple(self._weights.values()),
            tasks=self._tasks,
            tasks_left_out=len(self._app.tasks) - len(self._tasks),
            stuck=self._overruns.stuck,
            runs=self._runner.runs(),
            memory=resident_memory(),
            loop_lag=self._heartbeat.take_loop_lag(),
            version=self._release,
        )

    @cached_property
    def _tasks(self) -> tuple[TaskInfo, ...]:
        return describe_tasks(self._app.tasks)

    @cached_property
    def _release(self) -> str:
        try:
            return version("aioq-core")
        except PackageNotFoundError:  # its files were put on the path without being installed
            return ""


def resident_memory() -> int | None:
    """Return the bytes of memory that this process occupies; None on systems without `/proc`, as macOS and Windows."""
    try:
        # Each heartbeat reads it: without a text layer it takes a quarter of the time.
        with open(STATM, "rb", buffering=0) as statm:  # noqa: PTH123
            pages = int(statm.read(100).split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
