"""Stores new jobs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from aioq import JobConflict
from aioq.clock import Clock
from aioq.model.job import JobKey, NewJob
from aioq.model.states import JobState
from aioq.options import latest_start
from aioq_sqlite.database import Database, Role
from aioq_sqlite.jobs import find
from aioq_sqlite.transaction import Transaction

__all__ = ["EnqueueRole", "admit"]

INSERT = (
    "INSERT INTO jobs (id, queue, task, payload, priority, max_crashes, enqueued_at, expires_at, headers, state,"
    " run_at, place, turn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

NOTE_QUEUE = (
    "INSERT INTO queues (name, held_jobs) VALUES (?, 1) ON CONFLICT DO UPDATE SET held_jobs = 1 WHERE NOT held_jobs"
)

UNACKNOWLEDGED = 60.0
"""Seconds within which the repetition of a call that was cancelled is recognized."""


class EnqueueRole(Role):
    """Implements `aioq.protocols.Broker.enqueue`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._unacknowledged = _UnacknowledgedJobs(database.clock)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none; see `aioq.protocols.Broker.enqueue`."""

        def store(transaction: Transaction) -> list[bool]:
            return [job not in self._unacknowledged and admit(transaction, job) for job in jobs]

        is_new: list[bool] = await self._transact(store, then=partial(self._unacknowledged.add, jobs))
        self._unacknowledged.discard(jobs)
        return is_new


def admit(transaction: Transaction, job: NewJob) -> bool:
    """Store a job unless its id is known in its queue; return whether it is new.

    Raises:
        JobConflict: The id is known with another task or payload.
    """
    if known := find(transaction, *job.key):
        if (known["task"], known["payload"]) != (job.task, job.payload):
            raise JobConflict(job.id, job.queue)
        return False
    insert(transaction, job)
    return True


def insert(transaction: Transaction, job: NewJob) -> None:
    """Store a new job, and wake workers."""
    now = transaction.now
    due = now + job.delay if job.run_at is None else job.run_at
    state = JobState.SCHEDULED if due > now else JobState.PENDING
    latest = latest_start(now, delay=job.delay, run_at=job.run_at, expires=job.expires, expires_at=job.expires_at)
    place = max(due, now)  # a due time in the past puts no job in front of others
    about = (
        job.id,
        job.queue,
        job.task,
        job.payload,
        job.priority,
        job.max_crashes,
        now,
        latest,
        msgspec.json.encode(job.headers) if job.headers else None,
    )
    transaction.execute(NOTE_QUEUE, (job.queue,))
    transaction.execute(INSERT, (*about, state, due, place, transaction.turn()))
    transaction.signal("work", job.queue)


class _UnacknowledgedJobs:
    """The jobs that this broker object stored lately, and whose caller has no answer yet.

    A worker may have run such a job, and its record be gone, before the caller repeats the call.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[JobKey, tuple[NewJob, float]] = {}

    def __contains__(self, job: NewJob) -> bool:
        known, at = self._stored.get(job.key, (None, 0.0))
        if known is None or (known.task, known.payload) != (job.task, job.payload):
            return False
        return self._clock.monotonic() < at + UNACKNOWLEDGED

    def add(self, jobs: Sequence[NewJob], is_new: Sequence[bool]) -> None:
        """Remember the jobs that are new."""
        now = self._clock.monotonic()
        self._stored = {key: (job, at) for key, (job, at) in self._stored.items() if now < at + UNACKNOWLEDGED}
        self._stored.update((job.key, (job, now)) for job, new in zip(jobs, is_new, strict=True) if new)

    def discard(self, jobs: Sequence[NewJob]) -> None:
        """Forget the jobs whose caller has the answer."""
        for job in jobs:
            self._stored.pop(job.key, None)
