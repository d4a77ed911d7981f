"""Wakes coroutines that wait for jobs or results, and passes cancellations to workers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from aioq.model.job import CancelledRun, JobKey

__all__ = ["Waiters"]


Name: TypeAlias = str | JobKey
"""What is waited for: a queue, or a job."""


class Waiters:
    """Events by kind and name; waking a name sets every event that waits for it."""

    def __init__(self) -> None:
        self._events: defaultdict[tuple[str, Name], set[anyio.Event]] = defaultdict(set)
        self._loops: dict[anyio.Event, asyncio.AbstractEventLoop | None] = {}
        self._aborts: dict[str, MemoryObjectSendStream[CancelledRun]] = {}

    @contextmanager
    def waiting(self, kind: str, names: Iterable[Name]) -> Generator[anyio.Event]:
        """Yield an event that is set if one of `names` is woken during the block."""
        event = anyio.Event()
        keys = [(kind, name) for name in names]
        self._loops[event] = _running_loop()
        for key in keys:
            self._events[key].add(event)
        try:
            yield event
        finally:
            del self._loops[event]
            for key in keys:
                # Names are jobs, too: sets that are empty again would add up.
                self._events[key].discard(event)
                if not self._events[key]:
                    del self._events[key]

    def wake(self, kind: str, name: Name) -> None:
        """Set all events that wait for `name`."""
        for event in list(self._events.get((kind, name), ())):
            loop = self._loops.get(event)
            if loop is None or loop is _running_loop():
                event.set()
            else:
                # A thread with an event loop of its own has enqueued a job for a worker in this loop.
                with suppress(RuntimeError):  # the loop was closed
                    loop.call_soon_threadsafe(event.set)

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


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the running loop of asyncio; None in a program that uses trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
