"""Notices when the event loop is blocked, and logs which job blocks it and where."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import FrameType

import anyio

from aioq.clock import SystemClock
from aioq.handle import current_job
from aioq.model.job import Lease
from aioq.threads import stack_of
from aioq.worker.log import job_of, logger, shown, warn_with_stack

__all__ = ["Culprit", "LoopMonitor", "find_culprit"]

PROBE_INTERVAL = 0.4
"""Seconds between two probes of a loop that answers them."""

BLOCKED_AFTER = 1.0
"""Seconds without an answer after which the loop counts as blocked."""

SUSPENDED_AFTER = 0.5
"""Seconds by which the monitor's own thread must be late to conclude that the whole process was suspended."""


class LoopMonitor:
    """A thread that probes the event loop, and waits for its answer.

    It works on asyncio only; no other loop is ever reported as blocked. Code that holds the global interpreter lock
    stops this thread, too.
    """

    def __init__(self) -> None:
        # Not the worker's clock, which may be a virtual one in a test: the thread waits in real time.
        self._clock = SystemClock()
        self._ended = threading.Event()
        self._answered = threading.Event()
        self._blocked_since: float | None = None
        self._lag: float | None = None
        """The longest time for which the loop did not answer since `take_lag`."""

    async def run(self) -> None:
        """Monitor the running loop until cancelled."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio
            return
        arguments = (loop, threading.get_ident())
        # With the context variables of the worker, whose id is in its log records.
        run = copy_context().run
        thread = threading.Thread(target=run, args=(self._monitor, *arguments), name="aioq loop monitor", daemon=True)
        thread.start()
        try:
            await anyio.sleep_forever()
        finally:
            self._ended.set()
            self._answered.set()
            # No timeout: the thread waits for nothing but these two events.
            thread.join()

    def blocked_for(self) -> float:
        """Return for how many seconds the loop has been blocked; 0 if it is not. Other threads may call this."""
        since = self._blocked_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def take_lag(self) -> float | None:
        """Return the longest time in seconds for which the loop did not answer since the last call.

        None if it was not probed since then.
        """
        lag, self._lag = self._lag, None
        return lag

    def _note_lag(self, asked: float) -> None:
        self._lag = max(self._lag or 0.0, self._clock.monotonic() - asked)

    def _monitor(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._ended.wait(PROBE_INTERVAL):
            asked = self._clock.monotonic()
            self._answered.clear()
            # `run` may have set both events just before this clear. The thread would then wait for an answer of a loop
            # that itself waits in `join`.
            if self._ended.is_set() or not _probe(loop, self._answered):
                return
            answered = self._answered.wait(BLOCKED_AFTER)
            if answered:
                self._note_lag(asked)
            # If this thread is late as well, the whole process stood still (SIGSTOP, a sleeping machine): no job is to
            # blame.
            if answered or self._clock.monotonic() - asked > BLOCKED_AFTER + SUSPENDED_AFTER:
                continue
            culprit = find_culprit(loop, thread)
            # If the loop answered while its stack was read, the stack may show another job.
            if not self._answered.is_set():
                self._wait_until_unblocked(asked, culprit)

    def _wait_until_unblocked(self, since: float, culprit: Culprit) -> None:
        self._blocked_since = since
        _log_blocked(self.blocked_for(), culprit)
        self._answered.wait()
        self._note_lag(since)
        seconds = self.blocked_for()
        self._blocked_since = None
        if not self._ended.is_set():
            logger.warning(
                "the event loop runs again; %s blocked it for %.1f s",
                culprit,
                seconds,
                extra={"event": "loop_unblocked"},
            )


def _probe(loop: asyncio.AbstractEventLoop, answer: threading.Event) -> bool:
    """Ask the loop to set `answer`; return False if the loop is closed."""
    try:
        loop.call_soon_threadsafe(answer.set)
    except RuntimeError:
        return False
    return True


def _log_blocked(seconds: float, culprit: Culprit) -> None:
    warn_with_stack(
        "loop_blocked",
        "the event loop has been blocked for %.1f s by %s: nothing else runs; "
        "move the slow code into a plain def task, which runs in a thread",
        seconds,
        culprit,
        stack=f"Stack of the event loop (most recent call last):\n{culprit.stack}",
        lease=culprit.lease,
    )


@dataclass(frozen=True, slots=True)
class Culprit:
    """The code that blocks the event loop."""

    lease: Lease | None
    """The job for which it runs, if any."""
    task: str | None
    """The name of its asyncio task; None in a callback."""
    stack: str

    def __str__(self) -> str:
        if self.lease is not None:
            return job_of(self.lease)
        return f"the task {shown(self.task)}" if self.task else "a callback that belongs to no job"


def find_culprit(loop: asyncio.AbstractEventLoop, thread: int) -> Culprit:
    """Return what runs at this moment in `loop`, which runs in the thread with the id `thread`."""
    task = asyncio.current_task(loop)
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it is documented
    context = _context_of(task, frame)
    lease = context.get(current_job) if context else None
    return Culprit(lease, task.get_name() if task else None, stack_of(frame))


def _context_of(task: asyncio.Task[object] | None, frame: FrameType | None) -> Context | None:
    """Return the context variables of a task, or of the callback at the bottom of a stack."""
    if task is not None and sys.version_info >= (3, 12):
        return task.get_context()
    # Python 3.11 has no `get_context`, and a callback has no task: both run in a handle of the loop that knows it.
    while frame is not None and frame.f_code is not asyncio.Handle._run.__code__:  # noqa: SLF001
        frame = frame.f_back
    return getattr(frame.f_locals.get("self"), "_context", None) if frame else None
