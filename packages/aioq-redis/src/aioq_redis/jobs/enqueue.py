"""Storing jobs, each in its queue, all or none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Sequence
from functools import partial
from os import getpid
from typing import Any, Final

from aioq.errors import JobConflict
from aioq.model.job import NewJob
from aioq_redis.client.session import Session
from aioq_redis.jobs.deduplication import Requests, shown
from aioq_redis.jobs.enqueue_batches import Outbox, Target
from aioq_redis.jobs.queue_names import Naming
from aioq_redis.storage.database import Database
from aioq_redis.storage.job_format import check_id, encode_record
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import milliseconds
from aioq_redis.storage.scripts import load

__all__ = ["Enqueueing", "plan_of"]

NEW: Final = 1
CONFLICT: Final = -1


class Enqueueing:
    """What the broker does to store jobs."""

    def __init__(self, server: Database, layout: Layout, naming: Naming) -> None:
        self._server, self._layout, self._naming = server, layout, naming
        self._requests: defaultdict[str, Requests] = defaultdict(Requests)
        self._outboxes: dict[str, Outbox] = {}
        self._session: Session | None = None
        self._process = 0

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs; see `aioq.protocols.Broker.enqueue`."""
        if len(jobs) == 1 or len({job.queue for job in jobs}) == 1:
            args = _arguments(jobs)
            return _news(jobs, await self._store(jobs[0].queue, args))
        by_queue: defaultdict[str, list[int]] = defaultdict(list)
        for n, job in enumerate(jobs):
            by_queue[job.queue].append(n)
        parts = {queue: [jobs[n] for n in places] for queue, places in by_queue.items()}
        calls = {queue: _arguments(part) for queue, part in parts.items()}
        # One script sees one queue: look at all of them before anything is stored in any.
        await self._check(parts, calls)
        answers = [False] * len(jobs)
        for queue, places in by_queue.items():
            reply = await self._store(queue, calls[queue], in_part=True)
            for n, new in zip(places, _news(parts[queue], reply), strict=True):
                answers[n] = new
        for queue, args in calls.items():
            self._requests[queue].settle(args)
        return answers

    async def _check(self, parts: dict[str, list[NewJob]], calls: dict[str, list[object]]) -> None:
        homes: dict[str, str] = {}
        for queue, part in parts.items():
            for job in part:
                if homes.setdefault(job.id, queue) != queue:
                    raise JobConflict(job.id, homes[job.id])
        for queue, part in parts.items():
            requests = self._requests[queue]
            doubts = shown(requests.places(calls[queue], self._server.session.loop.time()))
            args = ["check", 0, "", doubts, *calls[queue]]
            _news(part, await self._server.call("enqueue", self._layout.queue(queue), args, own=requests.client))

    async def _store(self, queue: str, args: list[object], *, in_part: bool = False) -> list[int]:
        def ask(session: Session, deadline: float) -> Coroutine[Any, Any, list[int]]:
            return self._outbox(queue, session).ask(args, deadline, in_part=in_part)

        return await self._server.repeat("enqueue", ask, partial(self._misfit, queue))

    def _outbox(self, queue: str, session: Session) -> Outbox:
        if session is not self._session:
            self._session, self._outboxes = session, {}
            if self._process != getpid():  # what was forked is another client
                self._process, self._requests = getpid(), defaultdict(Requests)
        outbox = self._outboxes.get(queue)
        if outbox is None:
            target = Target(self._layout.queue(queue), self._requests[queue], session)
            outbox = self._outboxes[queue] = Outbox(queue, target, self._naming)
        return outbox

    async def _misfit(self, queue: str) -> str:
        space = self._layout.queue(queue)
        return await self._server.misfit(space, space.pick(load("enqueue").keys, self._requests[queue].client))


def _arguments(jobs: Sequence[NewJob]) -> list[object]:
    args: list[object] = []
    for job in jobs:
        check_id(job.id)
        args += (job.id, ("&" if args else "") + plan_of(job), encode_record(job))
    return args


def plan_of(job: NewJob) -> str:
    """Return when and in which line a job runs; see `lua/lib/store.lua`."""
    if job.run_at is not None:
        return f"{job.priority}@{milliseconds(job.run_at)}"
    return f"{job.priority}+{milliseconds(job.delay)}" if job.delay > 0 else str(job.priority)


def _news(jobs: Sequence[NewJob], reply: Sequence[int]) -> list[bool]:
    """Return for each job whether it is new."""
    if CONFLICT in reply:
        job = jobs[reply.index(CONFLICT)]
        raise JobConflict(job.id, job.queue)
    return [answer == NEW for answer in reply]
