"""Implements `aioq.protocols.Failures` for the memory broker."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from aioq.backends.memory.jobs import MemoryRole
from aioq.model.failures import Cause, FailureGroup, FailureRecord, matches
from aioq.model.job import JobRecord

__all__ = ["FailuresRole"]


class FailuresRole(MemoryRole):
    """Implements `aioq.protocols.Failures`."""

    async def failure_groups(self, queue: str) -> list[FailureGroup]:
        """Return the groups of a queue; see `aioq.protocols.Failures.failure_groups`."""
        return self._table.failures_of(queue).groups()

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
        found = self._table.failures_of(queue).newest_first(cause, after)
        return list(islice((record for record in found if not text or matches(record, text)), max(limit, 0)))

    async def get_failure(self, failure_id: str, *, queue: str) -> JobRecord | None:
        """Return the job of a failure; see `aioq.protocols.Failures.get_failure`."""
        stored = self._table.failures_of(queue).job(failure_id)
        return stored.record() if stored else None

    async def replay_failures(self, failure_ids: Sequence[str], *, queue: str) -> list[bool]:
        """Put jobs back into the queue; see `aioq.protocols.Failures.replay_failures`."""
        return [self._replay(queue, failure_id) for failure_id in failure_ids]

    async def dismiss_failures(self, failure_ids: Sequence[str], *, queue: str) -> int:
        """Remove failures from the list; see `aioq.protocols.Failures.dismiss_failures`."""
        return self._table.failures_of(queue).remove(failure_ids)

    def _replay(self, queue: str, failure_id: str) -> bool:
        stored = self._table.failures_of(queue).job(failure_id)
        if stored is None or self._table.jobs.get(stored.job.key, stored) is not stored:
            return False
        self._table.restore(stored)
        self._table.replay(stored)
        return True
