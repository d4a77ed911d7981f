"""Defines the optional protocol of a broker that lists the jobs that need a person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol, runtime_checkable

from aioq.model.failures import Cause, FailureGroup, FailureRecord
from aioq.model.job import JobRecord

__all__ = ["Failures", "failure_pages"]

PAGE: Final = 1000
"""Failures of one step."""


@runtime_checkable
class Failures(Protocol):
    """A broker that lists failures: jobs that failed, are dead, or expired. The broker must have a `JobStore`, too.

    1. A job enters the list in the step that ends it, whatever the retention of its record. Its id may be used again
       once the record is gone, and the failure stays listed.
    2. A failure leaves the list when its job is replayed, when it is dismissed, after `FAILURE_TTL`, and when
       `MAX_FAILURES` newer ones of its queue are listed.
    3. The failures of one cause are a group. A queue has at most `MAX_CAUSES` groups, and one for all other causes.
       `aioq.model.failures.cause_of` is the reference.
    4. `QueueStats.failures` is the number of listed failures.
    5. A broker without memory for a job lists its failure without the job: such a failure can be replayed while the
       record of the job is stored.
    """

    async def failure_groups(self, queue: str) -> list[FailureGroup]:
        """Return the groups of a queue, the one with the newest failure first, without a look at every failure.

        `aioq.model.failures.group_failures` is the reference.
        """
        ...

    async def list_failures(
        self,
        queue: str,
        *,
        cause: Cause | None = None,
        text: str = "",
        after: FailureRecord | None = None,
        limit: int = 100,
    ) -> list[FailureRecord]:
        """Return failures of a queue, the newest first.

        Args:
            queue: The queue.
            cause: Only those of this group.
            text: Only those that contain it; see `aioq.model.failures.matches`.
            after: The last one of the page before; None for the first page.
            limit: How many to return at most.
        """
        ...

    async def get_failure(self, failure_id: str, *, queue: str) -> JobRecord | None:
        """Return the record of a job as it ended, with its payload and traceback; None if nothing of it is stored."""
        ...

    async def replay_failures(self, failure_ids: Sequence[str], *, queue: str) -> list[bool]:
        """Put up to 1,000 jobs back into the queue as `JobStore.retry_job` does; return which ones were.

        False: the failure is not listed, the id of its job is that of another job now, or the job is not stored.
        """
        ...

    async def dismiss_failures(self, failure_ids: Sequence[str], *, queue: str) -> int:
        """Remove up to 1,000 failures from the list with all that it stores of them; return how many were listed.

        The record of a job stays as long as it would without the list.
        """
        ...


async def failure_pages(
    store: Failures, queue: str, cause: Cause, *, until: float, text: str = ""
) -> AsyncIterator[list[FailureRecord]]:
    """Yield the failures of a cause, the newest first. The caller may take those of a page off the list.

    Args:
        store: The broker.
        queue: The queue of the failures.
        cause: Their cause.
        until: Later failures are left out: no person has seen them, and a replayed job could fail again for ever.
        text: Only those that contain it.
    """
    page = await store.list_failures(queue, cause=cause, text=text, limit=PAGE)
    while page:
        yield [record for record in page if record.failed_at <= until]
        page = await store.list_failures(queue, cause=cause, text=text, after=page[-1], limit=PAGE)
