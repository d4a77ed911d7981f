"""Lists, replays and dismisses the jobs that need a person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

from aioq.model.failures import Cause, FailureGroup, FailureRecord, matches
from aioq.model.ids import new_id
from aioq.model.job import JobRecord
from aioq_redis.role import BrokerRole
from aioq_redis.storage.failure_format import group_of, read_listed
from aioq_redis.storage.job_records import ended_job

__all__ = ["FailuresRole"]

PAGE: Final = 500
"""Failures that one script returns at most."""

MOST_PRUNES: Final = 20
"""How often a call removes failures that are listed for too long, 1,000 each time."""


class FailuresRole(BrokerRole):
    """Implements `aioq.protocols.Failures`."""

    async def failure_groups(self, queue: str) -> list[FailureGroup]:
        """Return the groups of a queue; see `aioq.protocols.Failures.failure_groups`."""
        found: list[Any] = []
        for _ in range(MOST_PRUNES):
            more, *found = await self._database.call("failure_groups", self._layout.queue(queue), ())
            if not more:
                break
        groups = (_group(queue, *found[at : at + 4]) for at in range(0, len(found), 4))
        return sorted((one for one in groups if one is not None), key=lambda group: group.last, reverse=True)

    async def list_failures(
        self,
        queue: str,
        *,
        cause: Cause | None = None,
        text: str = "",
        after: FailureRecord | None = None,
        limit: int = 100,
    ) -> list[FailureRecord]:
        """Return failures, the newest first; see `aioq.protocols.Failures.list_failures`."""
        found: list[FailureRecord] = []
        if limit <= 0:
            return found
        async for record in self._from(queue, cause, after, PAGE if text else min(limit, PAGE)):
            if not text or matches(record, text):
                found.append(record)
            if len(found) == limit:
                break
        return found

    async def get_failure(self, failure_id: str, *, queue: str) -> JobRecord | None:
        """Return the job of a failure; see `aioq.protocols.Failures.get_failure`."""
        space, job_id = self._layout.queue(queue), failure_id.rpartition("~")[0]
        if (text := await self._database.command("HGET", space.key("failed_jobs"), failure_id)) is not None:
            return ended_job(job_id, queue, text)
        # A full server stored the job once, among the ended ones.
        if not await self._database.command("HEXISTS", space.key("failures"), failure_id):
            return None
        (found,) = await self._database.call("get_jobs", space, [job_id])
        job = ended_job(job_id, queue, found[1]) if found and found[0] == b"ended" else None
        return job if job and failure_id == f"{job_id}~{round(job.enqueued_at * 1000)}" else None

    async def replay_failures(self, failure_ids: Sequence[str], *, queue: str) -> list[bool]:
        """Put jobs back into the queue; see `aioq.protocols.Failures.replay_failures`."""
        if not failure_ids:
            return []
        # A repetition after a lost answer must not enqueue the jobs a second time.
        args = (new_id(), *failure_ids)
        return [bool(one) for one in await self._database.call("replay_failures", self._layout.queue(queue), args)]

    async def dismiss_failures(self, failure_ids: Sequence[str], *, queue: str) -> int:
        """Remove failures from the list; see `aioq.protocols.Failures.dismiss_failures`."""
        if not failure_ids:
            return 0
        once = list(dict.fromkeys(failure_ids))
        removed: int = await self._database.call("dismiss_failures", self._layout.queue(queue), once)
        return removed

    async def _from(
        self, queue: str, cause: Cause | None, after: FailureRecord | None, size: int
    ) -> AsyncIterator[FailureRecord]:
        """Yield the failures after one, in pages."""
        group = group_of(cause) if cause else ""
        last, moment = (after.failure_id, round(after.failed_at * 1000)) if after else ("", 0)
        more = True
        while more:
            args = (group, last, moment, size)
            full, *page = await self._database.call("list_failures", self._layout.queue(queue), args)
            read = map(partial(read_listed, queue), page[::2], page[1::2])
            records = [record for record in read if record is not None]
            for record in records:
                last, moment = record.failure_id, round(record.failed_at * 1000)
                yield record
            # Without a readable one the next page would be this one again.
            more = bool(full and records)


def _group(queue: str, count: int, first: bytes, failure_id: bytes, text: bytes) -> FailureGroup | None:
    sample = read_listed(queue, failure_id, text)
    if sample is None:
        return None
    return FailureGroup(
        queue=queue, cause=sample.cause, count=count, first=int(first) / 1000, last=sample.failed_at, sample=sample
    )
