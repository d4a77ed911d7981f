"""Storing jobs: calls that are made at the same time share a round trip and a script."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Final

from aioq.errors import JobConflict
from aioq.job import NewJob
from aioq_redis.keeping import milliseconds
from aioq_redis.keys import Layout
from aioq_redis.naming import Naming
from aioq_redis.pipeline import Command
from aioq_redis.records import check_id, encode_record
from aioq_redis.scripts import load
from aioq_redis.server import Server
from aioq_redis.session import Session

__all__ = ["Enqueueing", "plan_of"]

MOST_SHARED: Final = 1000
"""Jobs in one script, after which further calls go into the next."""

CONFLICT: Final = -1


class Batch:
    """The calls that will go to one queue in one script."""

    def __init__(self, session: Session, queue: str, mode: str) -> None:
        self.session, self.queue = session, queue
        self.args: list[object] = [mode]
        self.callers: list[tuple[asyncio.Future[list[int]], int]] = []

    def add(self, args: Sequence[object]) -> asyncio.Future[list[int]]:
        """Add the jobs of one call; the future is the script's answer for each of them."""
        future: asyncio.Future[list[int]] = self.session.loop.create_future()
        self.args.extend(args)
        self.callers.append((future, len(args) // 3))
        return future

    def full(self) -> bool:
        """Say whether the next call had better go elsewhere."""
        return len(self.args) // 3 >= MOST_SHARED

    def share(self, reply: asyncio.Future[list[int]]) -> None:
        """Give each caller its part of the reply, or the error."""
        if reply.cancelled():
            return
        error, start = reply.exception(), 0
        for future, jobs in self.callers:
            if future.done():
                pass
            elif error is not None:
                future.set_exception(type(error)(*error.args))
            else:
                future.set_result(reply.result()[start : start + jobs])
            start += jobs


class Enqueueing:
    """What the broker does to store jobs."""

    def __init__(self, server: Server, layout: Layout, naming: Naming) -> None:
        self._server, self._layout, self._naming = server, layout, naming
        self._open: dict[str, Batch] = {}

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs; see `aioq.protocols.Broker.enqueue`."""
        by_queue: defaultdict[str, list[int]] = defaultdict(list)
        for n, job in enumerate(jobs):
            by_queue[job.queue].append(n)
        parts = {queue: [jobs[n] for n in places] for queue, places in by_queue.items()}
        calls = {queue: _arguments(part) for queue, part in parts.items()}
        if len(parts) > 1:
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

    async def _store(self, queue: str, jobs: list[NewJob], args: list[object]) -> list[bool]:
        space = self._layout.queue(queue)
        misfit = partial(self._server.misfit, space, space.pick(load("enqueue").keys))
        reply = await self._server.repeat("enqueue", partial(self._join, queue, args), misfit)
        _refuse_conflicts(jobs, reply)
        return [answer == 1 for answer in reply]

    def _join(self, queue: str, args: list[object], session: Session) -> asyncio.Future[list[int]]:
        batch = self._open.get(queue)
        if batch is None or batch.session is not session or batch.full():
            batch = self._open[queue] = Batch(session, queue, "store")
            # Whoever else enqueues before the loop comes round again is on board.
            session.loop.call_soon(self._send, batch)
        return batch.add(args)

    def _send(self, batch: Batch) -> None:
        if self._open.get(batch.queue) is batch:
            del self._open[batch.queue]
        self._naming.name(batch.queue, batch.session)
        script = load("enqueue")
        keys = self._layout.queue(batch.queue).pick(script.keys)
        batch.session.stores.submit(Command(script, keys, batch.args)).add_done_callback(batch.share)


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
