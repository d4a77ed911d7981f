"""Lists the failures of the memory broker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import dropwhile, islice

from aioq.backends.memory.queue import StoredJob
from aioq.model.failures import (
    FAILURE_TTL,
    MAX_FAILURES,
    Cause,
    FailureGroup,
    FailureRecord,
    describe_failure,
)

__all__ = ["FailureList"]


class FailureList:
    """The listed failures of one queue, the oldest first, and the same ones by cause."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[FailureRecord, StoredJob]] = {}
        self._causes: defaultdict[Cause, dict[str, FailureRecord]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._failures)

    def add(self, stored: StoredJob) -> None:
        """List a job that has just ended."""
        record = describe_failure(stored.record(), self._causes)
        self.remove([record.failure_id])
        self._failures[record.failure_id] = (record, stored)
        self._causes[record.cause][record.failure_id] = record
        if len(self._failures) > MAX_FAILURES:
            self.remove([next(iter(self._failures))])

    def remove(self, failure_ids: Sequence[str]) -> int:
        """Remove failures; return how many were listed."""
        removed = [found[0] for id in failure_ids if (found := self._failures.pop(id, None))]
        for record in removed:
            group = self._causes[record.cause]
            del group[record.failure_id]
            if not group:
                del self._causes[record.cause]
        return len(removed)

    def prune(self, now: float) -> None:
        """Remove failures that have been listed for `FAILURE_TTL`."""
        while self._failures:
            first = next(iter(self._failures.values()))[0]
            if first.failed_at + FAILURE_TTL > now:
                return
            self.remove([first.failure_id])

    def groups(self) -> list[FailureGroup]:
        """Return the groups, the one with the newest failure first."""
        return sorted(map(_group, self._causes.values()), key=lambda group: group.last, reverse=True)

    def newest_first(self, cause: Cause | None, after: FailureRecord | None) -> Iterator[FailureRecord]:
        """Yield the failures after one, of one cause or all."""
        if cause is None:
            records: Iterator[FailureRecord] = (record for record, _ in reversed(self._failures.values()))
        else:
            records = reversed(self._causes[cause].values()) if cause in self._causes else iter(())
        if after is None:
            return records
        if after.failure_id in self._failures:
            return islice(dropwhile(lambda record: record.failure_id != after.failure_id, records), 1, None)
        return dropwhile(lambda record: record.failed_at > after.failed_at, records)

    def job(self, failure_id: str) -> StoredJob | None:
        """Return the job of a failure."""
        found = self._failures.get(failure_id)
        return found[1] if found else None


def _group(failures: dict[str, FailureRecord]) -> FailureGroup:
    first, last = next(iter(failures.values())), next(reversed(failures.values()))
    return FailureGroup(
        queue=last.queue, cause=last.cause, count=len(failures), first=first.failed_at, last=last.failed_at, sample=last
    )
