"""Wakes coroutines that wait for jobs or results, and passes cancellations to workers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from aioq.model.job import CancelledRun, JobKey

__all__ = ["Waiters"]


Name: TypeAlias = str | JobKey
"""What is waited for: a queue, or a job."""

Waits: TypeAlias = defaultdict[tuple[str, Name], dict[anyio.CancelScope, asyncio.AbstractEventLoop | None]]


class Waiters:
    """Waits by kind and name; waking a name ends every wait for it."""

    def __init__(self) -> None:
        # Each wait is the scope around it, and has its event loop.
        self._waits: Waits = defaultdict(dict)
        self._aborts: dict[str, MemoryObjectSendStream[CancelledRun]] = {}

    def waiting(self, kind: str, names: Iterable[Name]) -> AbstractContextManager[anyio.CancelScope]:
        """Return a scope around a block, which is cancelled as soon as one of `names` is woken.

        The block sleeps for as long as it would wait. So a wait that nothing ends costs no more than the sleep.
        """
        return _Wait(self._waits, [(kind, name) for name in names])

    def wake(self, kind: str, name: Name) -> None:
        """End all waits for `name`."""
        waits = self._waits.get((kind, name))
        for scope, loop in list(waits.items()) if waits else ():
            if loop is None or loop is _running_loop():
                scope.cancel()
            else:
                # A thread with an event loop of its own has enqueued a job for a worker in this loop.
                with suppress(RuntimeError):  # the loop was closed
                    loop.call_soon_threadsafe(scope.cancel)

    def abort(self, worker_id: str, run: CancelledRun) -> None:
        """Tell a worker that a run of it was cancelled, if the worker listens."""
        if stream := self._aborts.get(worker_id):
            stream.send_nowait(run)

    async def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:
        """Yield the runs of a worker as they are cancelled."""
        # Unbounded, because `send_nowait` must not fail. It holds one item per running job at most.
        send, receive = anyio.create_memory_object_stream[CancelledRun](max_buffer_size=float("inf"))
        self._aborts[worker_id] = send
        try:
            with send, receive:
                async for run in receive:
                    yield run
        finally:
            # A worker of the same id may have subscribed since.
            if self._aborts.get(worker_id) is send:
                del self._aborts[worker_id]


class _Wait:
    """A scope that is listed under its keys while its block runs. A generator would take twice as long."""

    def __init__(self, waits: Waits, keys: list[tuple[str, Name]]) -> None:
        self._waits = waits
        self._keys = keys
        self._scope = anyio.CancelScope()

    def __enter__(self) -> anyio.CancelScope:
        loop = _running_loop()
        for key in self._keys:
            self._waits[key][self._scope] = loop
        return self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        for key in self._keys:
            # Names are jobs, too: dicts that are empty again would add up.
            del self._waits[key][self._scope]
            if not self._waits[key]:
                del self._waits[key]
        return self._scope.__exit__(kind, error, traceback)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the running loop of asyncio; None in a program that uses trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
