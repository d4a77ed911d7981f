"""Notices that the event loop does not come round, and says what is in its way."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from contextvars import Context, ContextVar
from dataclasses import dataclass
from types import FrameType

import anyio

from aioq.clock import SystemClock
from aioq.model.job import Lease
from aioq.worker.log import extra, job_of, logger, shown

__all__ = ["Culprit", "LoopMonitor", "culprit_of", "current_job"]

PULSE = 0.4
"""Seconds between looks at a loop that comes round."""

LIMIT = 1.0
"""Seconds after which a loop that has not come round is blocked."""

SUSPENDED = 0.5
"""Seconds by which our own thread must be late before we know that it was not the loop alone that stood still."""


class LoopMonitor:
    """A thread that asks the event loop to come round, again and again.

    On asyncio only; elsewhere no loop is ever found blocked. What holds Python's global lock
    stops this thread too.
    """

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._ended, self._came_round = threading.Event(), threading.Event()
        self._blocked_since: float | None = None

    async def run(self) -> None:
        """Watch the running loop until cancelled."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio
            return
        arguments = (loop, threading.get_ident())
        thread = threading.Thread(target=self._watch, args=arguments, name="aioq loop monitor", daemon=True)
        thread.start()
        try:
            await anyio.sleep_forever()
        finally:
            self._ended.set()
            self._came_round.set()
            thread.join()

    def blocked_for(self) -> float:
        """Return for how many seconds the loop has been blocked; 0 when it is not. May be called by any thread."""
        since = self._blocked_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._ended.wait(PULSE):
            asked = self._clock.monotonic()
            self._came_round.clear()
            if self._ended.is_set() or not _ask(loop, self._came_round):
                return
            if self._came_round.wait(LIMIT) or self._clock.monotonic() - asked > LIMIT + SUSPENDED:
                continue
            culprit = culprit_of(loop, thread)
            if not self._came_round.is_set():
                self._wait_out(asked, culprit)

    def _wait_out(self, since: float, culprit: Culprit) -> None:
        self._blocked_since = since
        _warn(self.blocked_for(), culprit)
        self._came_round.wait()
        seconds, self._blocked_since = self.blocked_for(), None
        if not self._ended.is_set():
            logger.warning("the event loop goes on; %s had blocked it for %.1f s", culprit, seconds)


def _ask(loop: asyncio.AbstractEventLoop, answer: threading.Event) -> bool:
    """Have the loop set `answer` when it comes round; False when it has been closed."""
    try:
        loop.call_soon_threadsafe(answer.set)
    except RuntimeError:
        return False
    return True


def _warn(seconds: float, culprit: Culprit) -> None:
    if not logger.isEnabledFor(logging.WARNING):
        return
    message = "the event loop has been blocked for %.1f s by %s: nothing else runs; %s"
    advice = "move what takes so long into a plain def task, which gets a thread"
    facts = extra(culprit.lease) if culprit.lease else None
    # By hand, because `stack_info=True` would show the stack of this thread.
    record = logger.makeRecord(
        logger.name, logging.WARNING, __file__, 0, message, (seconds, culprit, advice), None,
        func=None, extra=facts, sinfo=f"Stack of the event loop (most recent call last):\n{culprit.stack}",
    )  # fmt: skip
    logger.handle(record)


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
