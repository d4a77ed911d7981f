"""Reads what `lua/jobs/claim.lua` returns: leases, and stored data that are no job for this version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aioq.model.job import Lease
from aioq.serialization.failure import one_line
from aioq_redis.storage.job_format import FIRST, Run, Unreadable, read_id, read_record, read_run

__all__ = ["ClaimReply", "UnreadableClaim", "printable_id"]

_ENQUEUED: Final = re.compile(rb"(\d+) ")


class ClaimReply(NamedTuple):
    """The reply of one queue."""

    queue: str
    taken: int
    """How many jobs the request took; -1 if the script claimed nothing because it was overtaken by another request."""
    next_due: int
    """Milliseconds until the next job is due; -1 for none."""
    dropped: Sequence[Any]
    """Ids that were removed from the queue because no job is stored under them."""
    alone: bool
    """Whether the worker must claim no more until it is empty."""
    found: Sequence[bytes]
    """Id, record and run line of each job that was claimed."""

    @classmethod
    def read(cls, queue: str, reply: Sequence[Any]) -> ClaimReply:
        """Return the reply of the script by names."""
        taken, next_due, dropped, alone, *found = reply
        return cls(queue, taken, next_due, dropped, bool(alone), found)

    def leases(self) -> tuple[list[Lease], list[UnreadableClaim]]:
        """Return the leases, and what was claimed and cannot be read."""
        leases: list[Lease] = []
        unreadable: list[UnreadableClaim] = []
        for at in range(0, len(self.found), 3):
            raw_id, record, line = self.found[at : at + 3]
            run = read_run(line) if line else FIRST
            try:
                leases.append(_lease(self.queue, raw_id, record, run))
            except Unreadable as error:
                unreadable.append(UnreadableClaim(raw_id, record, run, error))
        return leases, unreadable


class UnreadableClaim(NamedTuple):
    """A claimed job that cannot be read: it is damaged, or of a later version of aioq."""

    id: bytes
    record: bytes
    run: Run
    error: Unreadable

    @property
    def fence(self) -> bytes:
        """The fencing token of its lease."""
        enqueued = _ENQUEUED.match(self.record)
        return b"%d %b" % (self.run.epoch, enqueued[1] if enqueued else b"0")

    @property
    def printable_id(self) -> str:
        """Its id, for a log line."""
        return printable_id(self.id)


def printable_id(raw: bytes) -> str:
    """Return a stored id for a log line: on one line, and not too long."""
    return one_line(raw.decode("ascii", "backslashreplace"), 80)


def _lease(queue: str, raw_id: bytes, raw: bytes, run: Run) -> Lease:
    record = read_record(raw)
    return Lease(
        job_id=read_id(raw_id),
        queue=queue,
        epoch=run.epoch,
        task=record.head.task,
        payload=record.payload,
        attempt=run.attempt,
        crashes=run.crashes,
        priority=record.head.priority,
        enqueued_at=record.enqueued / 1000,
        expires_at=record.expires_at(),
    )
