"""Blocking calls in threads, and threads that their callers leave behind."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest

from aioq.threads import in_bounded_thread


async def test_in_bounded_thread_left_behind_keeps_its_place() -> None:
    """A thread whose caller was cancelled keeps its place among anyio's threads until it ends."""
    places = anyio.to_thread.current_default_thread_limiter()
    started, gate = threading.Event(), threading.Event()

    def call() -> None:
        started.set()
        gate.wait(60)

    async with anyio.create_task_group() as group:
        group.start_soon(in_bounded_thread, call)
        await anyio.to_thread.run_sync(started.wait, limiter=anyio.CapacityLimiter(1))
        assert places.borrowed_tokens == 1
        group.cancel_scope.cancel()
    assert places.borrowed_tokens == 1
    gate.set()
    with anyio.fail_after(30):
        while places.borrowed_tokens:
            await anyio.sleep(0.005)


async def test_in_bounded_thread_frees_its_place() -> None:
    """The place is free after a result, after an error, and while a returned awaitable is awaited."""
    places = anyio.to_thread.current_default_thread_limiter()
    seen: list[int] = []

    async def rest() -> int:
        seen.append(places.borrowed_tokens)
        return 7

    def fail() -> None:
        raise LookupError

    assert await in_bounded_thread(rest) == 7
    with pytest.raises(LookupError):
        await in_bounded_thread(fail)
    assert (seen, places.borrowed_tokens) == ([0], 0)


async def test_in_bounded_thread_cancelled_before_start_does_not_run() -> None:
    """A call that is cancelled before its thread has begun does not run, and keeps no place."""
    ran: list[int] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await in_bounded_thread(lambda: ran.append(1))
    assert (ran, anyio.to_thread.current_default_thread_limiter().borrowed_tokens) == ([], 0)
