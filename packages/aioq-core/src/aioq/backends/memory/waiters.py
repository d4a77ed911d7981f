"""Who waits for what in the memory broker: events for work and results, streams of aborts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager

import anyio
from anyio.streams.memory import MemoryObjectSendStream

__all__ = ["Wakes"]


class Wakes:
    """A set of waiters by key; waking a key sets every event that waits for it."""

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[str, str], set[anyio.Event]] = defaultdict(set)
        self._aborts: dict[str, MemoryObjectSendStream[str]] = {}

    @contextmanager
    def waiter(self, kind: str, names: Iterable[str]) -> Generator[anyio.Event]:
        """Give an event that is set when any of `names` is woken while the block runs."""
        event, keys = anyio.Event(), [(kind, name) for name in names]
        for key in keys:
            self._waiting[key].add(event)
        try:
            yield event
        finally:
            for key in keys:
                self._waiting[key].discard(event)
                if not self._waiting[key]:
                    del self._waiting[key]

    def wake(self, kind: str, name: str) -> None:
        """Wake everyone who waits for `name`."""
        for event in self._waiting.get((kind, name), ()):
            event.set()

    def abort(self, worker_id: str, job_id: str) -> None:
        """Tell a worker, if it listens, that its job was cancelled."""
        if stream := self._aborts.get(worker_id):
            stream.send_nowait(job_id)

    async def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield the ids of a worker's jobs as they are cancelled."""
        send, receive = anyio.create_memory_object_stream[str](max_buffer_size=float("inf"))
        self._aborts[worker_id] = send
        try:
            with send, receive:
                async for job_id in receive:
                    yield job_id
        finally:
            if self._aborts.get(worker_id) is send:
                del self._aborts[worker_id]
