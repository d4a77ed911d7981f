"""What an event loop is busy with, as another thread sees it.

The job is known by a context variable, so also when a task that the job has started, or a
callback, is what takes so long. What runs under no job's context has no job. The stack is
that of one moment.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from contextvars import Context, ContextVar
from dataclasses import dataclass
from types import FrameType

from aioq.job import Lease
from aioq.worker.log import job_of, shown

__all__ = ["Culprit", "culprit_of", "current_job"]

current_job: ContextVar[Lease | None] = ContextVar("aioq_current_job", default=None)
"""The job on whose behalf code runs; the runner sets it."""

DEPTH = 30
"""Frames that are shown, the innermost ones."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """What stands in the way of everything else."""

    lease: Lease | None
    task: str | None
    stack: str

    def __str__(self) -> str:
        if self.lease is not None:
            return job_of(self.lease)
        return f"the task {shown(self.task)}" if self.task else "a callback that belongs to no job"


def culprit_of(loop: asyncio.AbstractEventLoop, thread: int) -> Culprit:
    """Return what runs at this moment in `loop`, which is that of the thread with this id."""
    task = asyncio.current_task(loop)
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it is documented
    context = _context_of(task, frame)
    stack = "".join(traceback.format_list(traceback.extract_stack(frame, DEPTH))) if frame else ""
    return Culprit(context.get(current_job) if context else None, task.get_name() if task else None, stack.rstrip())


def _context_of(task: asyncio.Task[object] | None, frame: FrameType | None) -> Context | None:
    """Return the context variables of a task, or of the callback at the bottom of a stack."""
    if task is not None and sys.version_info >= (3, 12):
        return task.get_context()
    while frame is not None and frame.f_code is not asyncio.Handle._run.__code__:  # noqa: SLF001
        frame = frame.f_back
    return getattr(frame.f_locals.get("self"), "_context", None) if frame else None
