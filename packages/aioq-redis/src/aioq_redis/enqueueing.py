"""Storing jobs: calls that are made at the same time share a round trip and a script."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from aioq.errors import JobConflict
from aioq.job import NewJob
from aioq_redis.command import Command
from aioq_redis.keeping import milliseconds
from aioq_redis.keys import KeySpace, Layout
from aioq_redis.naming import Naming
from aioq_redis.records import check_id, encode_record
from aioq_redis.scripts import Script, load
from aioq_redis.server import Server
from aioq_redis.session import Session

__all__ = ["Enqueueing", "plan_of"]

MOST_SHARED: Final = 1000
"""Jobs in one script, after which further calls go into the next."""

CONFLICT: Final = -1

ALONE: Final = 4
"""Arguments of the script for a batch of one job."""


class Batch(Command):
    """The calls that go to one queue in one script.

    One job alone that is due at once goes by a script that can do no more than that, and is
    sent again by the other if that does not do.
    """

    __slots__ = ("callers", "queue", "session", "space")

    def __init__(self, session: Session, queue: str, space: KeySpace) -> None:
        super().__init__(load("enqueue"), space.pick(load("enqueue").keys), ["store"])
        self.session, self.queue, self.space = session, queue, space
        self.callers: list[tuple[asyncio.Future[list[int]], int]] = []

    def send(self) -> None:
        """Send it by the script that costs least."""
        if len(self.args) == ALONE and len(plan := str(self.args[2])) == 1:
            one = load("enqueue_one")
            lone = Lone(one, self.space.pick(one.keys, plan), (self.args[1], self.args[3]), self)
            self.session.stores.submit(lone)
        else:
            self.session.stores.submit(self)

    def add(self, args: Sequence[object]) -> asyncio.Future[list[int]]:
        """Add the jobs of one call; the future is the script's answer for each of them."""
        future: asyncio.Future[list[int]] = self.session.loop.create_future()
        self.args += args
        self.callers.append((future, len(args) // 3))
        return future

    def full(self) -> bool:
        """Say whether the next call had better go elsewhere."""
        return len(self.args) // 3 >= MOST_SHARED

    def awaited(self) -> bool:
        """Whether to send it: also when every caller has gone, for an enqueue that was begun is finished."""
        return True

    def answer(self, reply: list[int]) -> None:
        """Give each caller its part of the reply."""
        start = 0
        for future, jobs in self.callers:
            if not future.done():
                future.set_result(reply[start : start + jobs])
            start += jobs

    def fail(self, error: Exception) -> None:
        """Give each caller an error of its own: its traceback grows where it is raised."""
        for future, _ in self.callers:
            if not future.done():
                future.set_exception(type(error)(*error.args))


class Lone(Command):
    """The one job of a batch, on its way by the script for such jobs."""

    __slots__ = ("_batch",)

    def __init__(self, script: Script, keys: Sequence[str], args: Iterable[object], batch: Batch) -> None:
        super().__init__(script, keys, args)
        self._batch = batch

    def answer(self, reply: int) -> None:
        """Pass the answer on, or have the batch sent when there is none."""
        if reply:
            self._batch.answer([reply])
        else:
            self._batch.session.stores.submit(self._batch)

    def fail(self, error: Exception) -> None:
        """Pass the error on."""
        self._batch.fail(error)


class Enqueueing:
    """What the broker does to store jobs."""

    def __init__(self, server: Server, layout: Layout, naming: Naming) -> None:
        self._server, self._layout, self._naming = server, layout, naming
        self._open: dict[str, Batch] = {}

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs; see `aioq.protocols.Broker.enqueue`."""
        queues = {job.queue for job in jobs}
        if len(queues) == 1:
            return await self._store(queues.pop(), jobs, _arguments(jobs))
        by_queue: defaultdict[str, list[int]] = defaultdict(list)
        for n, job in enumerate(jobs):
            by_queue[job.queue].append(n)
        parts = {queue: [jobs[n] for n in places] for queue, places in by_queue.items()}
        calls = {queue: _arguments(part) for queue, part in parts.items()}
        # One script sees one queue: look at all of them before anything is stored in any.
        await self._check(parts, calls)
        answers = [False] * len(jobs)
        for queue, places in by_queue.items():
            for n, new in zip(places, await self._store(queue, parts[queue], calls[queue]), strict=True):
                answers[n] = new
        return answers

    async def _check(self, parts: dict[str, list[NewJob]], calls: dict[str, list[object]]) -> None:
        homes: dict[str, str] = {}
        for queue, part in parts.items():
            for job in part:
                if homes.setdefault(job.id, queue) != queue:
                    raise JobConflict(job.id, homes[job.id])
        for queue, part in parts.items():
            reply = await self._server.call("enqueue", self._layout.queue(queue), ["check", *calls[queue]])
            _refuse_conflicts(part, reply)

    async def _store(self, queue: str, jobs: Sequence[NewJob], args: list[object]) -> list[bool]:
        misfit = partial(self._misfit, queue)
        reply = await self._server.repeat("enqueue", partial(self._join, queue, args), misfit)
        _refuse_conflicts(jobs, reply)
        return [answer == 1 for answer in reply]

    def _join(self, queue: str, args: list[object], session: Session) -> asyncio.Future[list[int]]:
        batch = self._open.get(queue)
        if batch is None or batch.session is not session or batch.full():
            batch = self._open[queue] = Batch(session, queue, self._layout.queue(queue))
            # Whoever else enqueues before the loop comes round again is on board.
            session.loop.call_soon(self._send, batch)
        return batch.add(args)

    async def _misfit(self, queue: str) -> str:
        space = self._layout.queue(queue)
        return await self._server.misfit(space, space.pick(load("enqueue").keys))

    def _send(self, batch: Batch) -> None:
        if self._open.get(batch.queue) is batch:
            del self._open[batch.queue]
        self._naming.name(batch.queue, batch.session)
        batch.send()


def _arguments(jobs: Sequence[NewJob]) -> list[object]:
    args: list[object] = []
    for job in jobs:
        check_id(job.id)
        args += (job.id, ("&" if args else "") + plan_of(job), encode_record(job))
    return args


def plan_of(job: NewJob) -> str:
    """Return when and in which line a job runs; see `lua/shared/store.lua`."""
    if job.run_at is not None:
        return f"{job.priority}@{milliseconds(job.run_at)}"
    return f"{job.priority}+{milliseconds(job.delay)}" if job.delay > 0 else str(job.priority)


def _refuse_conflicts(jobs: Sequence[NewJob], reply: Sequence[int]) -> None:
    for job, answer in zip(jobs, reply, strict=True):
        if answer == CONFLICT:
            raise JobConflict(job.id, job.queue)
