"""Looks up, cancels and requeues jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aioq.errors import PartlyUnavailable
from aioq.model.ids import new_id
from aioq.model.job import JobRecord, QueueStats
from aioq.model.states import JobState
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import in_parts
from aioq_redis.storage.job_records import dropped_job, ended_job, live_job
from aioq_redis.storage.job_states import ENDED_LETTERS
from aioq_redis.storage.keys import is_queue_name

__all__ = ["JobStoreRole"]

_INDEXES: Final = {JobState.RUNNING: "leased", **{state: state.value for state in ENDED_LETTERS}}
"""The sorted sets with the ids of jobs, by state."""

PAGE: Final = 1000
"""Ids that are read in one step when the due jobs have to be searched."""


class JobStoreRole(BrokerRole):
    """Implements `aioq.protocols.JobStore`."""

    async def get_job(self, job_id: str, *, queue: str) -> JobRecord | None:
        """Return the record of a job; see `aioq.protocols.JobStore.get_job`."""
        return next(iter(await self._get_jobs(queue, [job_id])), None)

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one state; see `aioq.protocols.JobStore.list_jobs`."""
        if limit <= 0:
            return []
        ids = await self._job_ids(queue, state, limit, max(offset, 0))
        records = await self._get_jobs(queue, ids)
        # The state of a job may have changed since its id was read.
        return [record for record in records if record.state is state]

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first; see `aioq.protocols.JobStore.list_dead_jobs`."""
        return await self.list_jobs(queue, JobState.DEAD, limit=limit, offset=offset)

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue; see `aioq.protocols.JobStore.queue_stats`."""
        queues = await self._queue_names()
        calls = {name: self._database.call("stats", self._layout.queue(name), (), patient=False) for name in queues}
        counts, away = await in_parts(calls, may_all_fail=True)
        stats = [
            QueueStats(
                queue=name,
                pending=pending,
                scheduled=scheduled,
                running=running,
                dead=dead,
                expired=expired,
                failures=failures,
            )
            for name, (pending, scheduled, running, dead, expired, failures) in counts.items()
        ]
        if away:
            raise PartlyUnavailable(away, stats)
        return stats

    async def cancel_job(self, job_id: str, *, queue: str) -> bool:
        """Cancel a job; see `aioq.protocols.JobStore.cancel_job`."""
        space, ttl = self._layout.queue(queue), milliseconds(self._retention.cancelled_ttl)
        aborts = self._layout.fleet.key("abort:")
        args = (job_id, new_id(), ttl, space.key("end:"), aborts, queue)
        return bool(await self._database.call("cancel", space, args))

    async def retry_job(self, job_id: str, *, queue: str) -> bool:
        """Enqueue an ended job again; see `aioq.protocols.JobStore.retry_job`."""
        # A repetition after a lost answer must not enqueue the job a second time.
        return bool(await self._database.call("retry_job", self._layout.queue(queue), (job_id, new_id())))

    async def _queue_names(self) -> list[str]:
        names = await self._database.command("SMEMBERS", self._layout.fleet.key("queue_names"))
        return sorted(name.decode() for name in names if is_queue_name(name))

    async def _get_jobs(self, queue: str, ids: Sequence[str | bytes]) -> list[JobRecord]:
        """Return the records of jobs; jobs without one are left out."""
        if not ids:
            return []
        found = await self._database.call("get_jobs", self._layout.queue(queue), ids)
        return [_read(job_id, queue, parts) for job_id, parts in zip(ids, found, strict=True) if parts]

    async def _job_ids(self, queue: str, state: JobState, limit: int, offset: int) -> list[bytes]:
        space = self._layout.queue(queue)
        if state is JobState.PENDING:
            ready: list[bytes] = await self._database.call("list_ready", space, (offset, limit))
            return ready
        if state in (JobState.SCHEDULED, JobState.RETRYING):
            return await self._due_ids(queue, state, limit, offset)
        verb = "ZRANGE" if state is JobState.RUNNING else "ZREVRANGE"
        found: list[bytes] = await self._database.command(verb, space.key(_INDEXES[state]), offset, offset + limit - 1)
        return found

    async def _due_ids(self, queue: str, state: JobState, limit: int, offset: int) -> list[bytes]:
        """Return the ids of scheduled or of retrying jobs: the server has both in one set, by the time they are due."""
        found: list[bytes] = []
        # In pages: one command for a million delayed jobs would block the server for all its clients.
        for first in range(0, 1_000_000_000, PAGE):
            args = (first, first + PAGE - 1, int(state is JobState.RETRYING))
            seen, *ids = await self._database.call("list_due", self._layout.queue(queue), args)
            found += ids
            if seen < PAGE or len(found) >= offset + limit:
                break
        return found[offset : offset + limit]


def _read(job_id: str | bytes, queue: str, parts: Sequence[Any]) -> JobRecord:
    name = job_id if isinstance(job_id, str) else job_id.decode("ascii", "backslashreplace")
    kind, *rest = parts
    if kind == b"dropped":
        return dropped_job(name, queue)
    return ended_job(name, queue, rest[0]) if kind == b"ended" else live_job(name, queue, rest)
