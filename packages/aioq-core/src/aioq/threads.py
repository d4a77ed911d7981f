"""Runs blocking calls in worker threads. A thread cannot be stopped, so its caller may go on without it."""

from __future__ import annotations

import inspect
import math
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn, TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread

__all__ = ["OnLeft", "ThreadCall", "in_bounded_thread", "in_thread", "stack_of"]

MAX_FRAMES = 30
"""Frames of a stack that are shown, the innermost ones."""


class ThreadCall:
    """A call in a worker thread, which its caller may leave behind."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._thread: int | None = None
        """The id of the thread while the call runs."""
        self._left = False
        self.on_end: Callable[[], None] | None = None
        """What the event loop calls once the thread has ended, if it was left behind."""

    def __call__(self) -> Callable[[], Any]:
        """Make the call; return a function that returns its result or raises its exception."""
        if not self._begin():
            return _nothing
        outcome = _outcome_of(self._call)
        with self._lock:
            self._thread = None
        if self._left:
            with suppress(RuntimeError):  # the event loop has ended in the meantime
                anyio.from_thread.run_sync(self._report_end)
        return outcome

    def _begin(self) -> bool:
        with self._lock:
            if self._left:
                return False
            self._thread = threading.get_ident()
            return True

    def leave(self) -> bool:
        """Leave the call behind, and return whether it goes on. If it has not begun, it does not begin any more."""
        with self._lock:
            self._left = True
            return self._thread is not None

    def _report_end(self) -> None:
        if self.on_end is not None:
            self.on_end()

    def stack(self) -> str:
        """Return the stack of the thread; empty if the call has ended."""
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it is documented
        return stack_of(frames.get(self._thread or 0))


OnLeft: TypeAlias = Callable[[ThreadCall], Callable[[], None]]
"""Called with a call whose caller was cancelled while the thread goes on; returns what to call at its end."""


async def in_thread(call: Callable[[], Any], on_left: OnLeft, limiter: anyio.CapacityLimiter) -> Any:
    """Run a blocking call in a worker thread. If the caller is cancelled, the thread runs on.

    A returned awaitable is awaited: a plain `def` may wrap an `async def`.
    """
    return await _result_of(await _in_thread(call, on_left, limiter))


async def in_bounded_thread(call: Callable[[], Any]) -> Any:
    """Run a blocking call in one of the threads that anyio allows, 40 by default; see `in_thread`.

    A thread that is left behind keeps its place among them until it ends.
    """
    places = anyio.to_thread.current_default_thread_limiter()
    release = partial(places.release_on_behalf_of, call)
    left: list[ThreadCall] = []

    def on_left(thread: ThreadCall) -> Callable[[], None]:
        left.append(thread)
        return release

    await places.acquire_on_behalf_of(call)
    try:
        # No second limit: anyio would free the place while the thread goes on.
        outcome = await _in_thread(call, on_left, anyio.CapacityLimiter(math.inf))
    finally:
        if not left:
            release()
    return await _result_of(outcome)


async def _in_thread(call: Callable[[], Any], on_left: OnLeft, limiter: anyio.CapacityLimiter) -> Callable[[], Any]:
    thread = ThreadCall(call)
    try:
        # A thread cannot be stopped: waiting for it would keep a stopping worker from releasing its job.
        return await anyio.to_thread.run_sync(thread, abandon_on_cancel=True, limiter=limiter)
    except BaseException:
        if thread.leave():
            thread.on_end = on_left(thread)
        raise


async def _result_of(outcome: Callable[[], Any]) -> Any:
    result = outcome()
    return await result if inspect.isawaitable(result) else result


def stack_of(frame: FrameType | None) -> str:
    """Return the stack of a running frame, which stands last; empty without one."""
    return "".join(traceback.format_list(traceback.extract_stack(frame, MAX_FRAMES))).rstrip() if frame else ""


def _outcome_of(call: Callable[[], Any]) -> Callable[[], Any]:
    """Run `call`, and return a function that returns its result or raises its exception.

    Threads cannot pass every outcome on directly: trio rejects a coroutine as a result, and asyncio
    treats a GeneratorExit as its own.
    """
    try:
        result = call()
    except BaseException as error:
        return partial(_raise, error)
    return lambda: result


def _raise(error: BaseException) -> NoReturn:
    raise error


def _nothing() -> None:
    """Stand in for a call that was called off; its result is not used."""
