"""Stores jobs, each in its queue, all or none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from aioq.errors import JobConflict
from aioq.model.job import NewJob
from aioq_redis.client.session import Session
from aioq_redis.jobs.enqueue_batches import EnqueueBatcher
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import Database, group_by, queue_of, ungroup
from aioq_redis.storage.job_format import encode_jobs
from aioq_redis.storage.keys import MAX_QUEUES, Layout
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
        batchers = {queue: self._batcher(queue) for queue in parts}
        for batcher in batchers.values():
            batcher.users += 1
        try:
            stored = await _store_in_parts(parts, batchers)
        finally:
            for batcher in batchers.values():
                batcher.users -= 1
        return [answer == NEW for answer in ungroup(jobs, stored, queue_of)]

    def _batcher(self, queue: str) -> EnqueueBatcher:
        batcher: EnqueueBatcher = self._database.session.kept.get(queue) or self._new_batcher(queue)
        return batcher

    def _new_batcher(self, queue: str) -> EnqueueBatcher:
        if len(self._batchers) >= MAX_QUEUES:
            self._forget_idle()
        batcher = self._abandoned(queue)
        if batcher is None:
            batcher = EnqueueBatcher(queue, self._database, self._layout, self._known_queues)
        else:
            batcher.reopen()
        self._batchers[queue].append(batcher)
        batcher.session.kept[queue] = batcher
        return batcher

    def _forget_idle(self) -> None:
        """Forget the batchers of this event loop, and of those that have ended, that have nothing under way."""
        session = self._database.session
        for queue, batchers in list(self._batchers.items()):
            for batcher in list(batchers):
                if (batcher.session is session or _has_ended(batcher.session)) and batcher.retire():
                    _remove(batchers, batcher)
                    batcher.session.kept.pop(queue, None)
            if not batchers:
                self._batchers.pop(queue, None)

    def _abandoned(self, queue: str) -> EnqueueBatcher | None:
        """Take over the latest batcher whose connections are closed: a call that failed there may be repeated here."""
        batchers = self._batchers[queue]
        for batcher in reversed(list(batchers)):
            if _has_ended(batcher.session) and _remove(batchers, batcher):
                return batcher
        return None


def _remove(batchers: list[EnqueueBatcher], batcher: EnqueueBatcher) -> bool:
    """Remove a batcher; return False if another thread has removed it."""
    try:
        batchers.remove(batcher)
    except ValueError:
        return False
    return True


def _has_ended(session: Session) -> bool:
    return session.closed or session.loop.is_closed()


async def _store_in_parts(
    parts: Mapping[str, Sequence[NewJob]], batchers: Mapping[str, EnqueueBatcher]
) -> dict[str, list[int]]:
    """Store the jobs of each queue; return the answers."""
    args = {queue: encode_jobs(part) for queue, part in parts.items()}
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
    return stored


def _conflict(jobs: Sequence[NewJob], answers: Sequence[int]) -> JobConflict:
    job = jobs[answers.index(CONFLICT)]
    return JobConflict(job.id, job.queue)
