"""Stores jobs, each in its queue, all or none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aioq.errors import JobConflict
from aioq.model.job import NewJob
from aioq_redis.jobs.enqueue_batches import EnqueueBatcher
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import Database, group_by, queue_of, ungroup
from aioq_redis.storage.job_format import encode_jobs
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention

__all__ = ["EnqueueRole"]

NEW: Final = 1
CONFLICT: Final = -1


class EnqueueRole(BrokerRole):
    """Implements `aioq.protocols.Broker.enqueue`."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        # Those of the running event loop are in its session, so that threads with loops of their own share none.
        self._batchers: defaultdict[str, list[EnqueueBatcher]] = defaultdict(list)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none; see `aioq.protocols.Broker.enqueue`."""
        if len(jobs) != 1 and len({job.queue for job in jobs}) != 1:
            return await self._enqueue_in_parts(jobs)
        queue, args = jobs[0].queue, encode_jobs(jobs)
        batcher: EnqueueBatcher = self._database.session.kept.get(queue) or self._new_batcher(queue)
        answers = await batcher.store(args)
        if CONFLICT in answers:
            raise _conflict(jobs, answers)
        return [answer == NEW for answer in answers]

    async def _enqueue_in_parts(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs of several queues. One script sees one queue only, so all are checked before any is stored."""
        parts = group_by(jobs, queue_of)
        args = {queue: encode_jobs(part) for queue, part in parts.items()}
        kept = self._database.session.kept
        batchers: dict[str, EnqueueBatcher] = {queue: kept.get(queue) or self._new_batcher(queue) for queue in parts}
        _check_ids(jobs)
        for queue, batcher in batchers.items():
            answers = await batcher.check(args[queue])
            if CONFLICT in answers:
                raise _conflict(parts[queue], answers)
        stored: dict[str, list[int]] = {}
        for queue, batcher in batchers.items():
            # The check above does not lock: another client may store the id before this call.
            stored[queue] = await batcher.store(args[queue], in_part=True)
            if CONFLICT in stored[queue]:
                raise _conflict(parts[queue], stored[queue])
        for queue, batcher in batchers.items():
            batcher.settle(args[queue])
        return [answer == NEW for answer in ungroup(jobs, stored, queue_of)]

    def _new_batcher(self, queue: str) -> EnqueueBatcher:
        batcher = self._abandoned(queue)
        if batcher is None:
            batcher = EnqueueBatcher(queue, self._database, self._layout, self._known_queues)
        else:
            batcher.reopen()
        self._batchers[queue].append(batcher)
        batcher.session.kept[queue] = batcher
        return batcher

    def _abandoned(self, queue: str) -> EnqueueBatcher | None:
        """Take over the latest batcher whose connections are closed: a call that failed there may be repeated here."""
        batchers = self._batchers[queue]
        for batcher in reversed(list(batchers)):
            if batcher.session.closed or batcher.session.loop.is_closed():
                # Another thread may take over the same.
                with suppress(ValueError):
                    batchers.remove(batcher)
                    return batcher
        return None


def _check_ids(jobs: Sequence[NewJob]) -> None:
    """Raise an error if two jobs of different queues have one id."""
    queues: dict[str, str] = {}
    for job in jobs:
        if queues.setdefault(job.id, job.queue) != job.queue:
            raise JobConflict(job.id, queues[job.id])


def _conflict(jobs: Sequence[NewJob], answers: Sequence[int]) -> JobConflict:
    job = jobs[answers.index(CONFLICT)]
    return JobConflict(job.id, job.queue)
