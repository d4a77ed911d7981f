"""Defines failures: jobs that need a person. A broker lists them apart from the records of ended jobs.

Moments are seconds since 1970-01-01T00:00:00Z on the broker's clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from aioq.model.attempts import without_traceback
from aioq.model.job import Failure, JobRecord
from aioq.model.states import JobState

__all__ = [
    "FAILURE_STATES",
    "FAILURE_TTL",
    "MAX_CAUSES",
    "MAX_FAILURES",
    "CRASHED",
    "OTHER_CAUSES",
    "Cause",
    "FailureGroup",
    "FailureRecord",
    "cause_of",
    "describe_failure",
    "failure_id_of",
    "group_failures",
    "matches",
]

FAILURE_STATES: Final = frozenset({JobState.FAILED, JobState.DEAD, JobState.EXPIRED})
"""The states of jobs that are listed."""

MAX_FAILURES: Final = 10_000
"""Failures that a broker lists for each queue. The oldest leave the list."""

FAILURE_TTL: Final = 7 * 86_400.0
"""Seconds for which a failure is listed."""

MAX_CAUSES: Final = 256
"""Causes that are counted apart in each queue. Failures of further ones are counted together."""


class Cause(Struct, frozen=True):
    """What failures have in common that are counted together. It stays the same while lines of code move."""

    task: str
    type: str
    """The type of the exception; the reason of a dead job that has none."""
    place: str
    """That of the failure; see `aioq.model.job.Failure`."""


CRASHED: Final = "crashed"
"""The reason of a job that is dead because it crashed its workers."""

OTHER_CAUSES: Final = Cause("", "", "")
"""The cause of failures whose own cause came after `MAX_CAUSES` others."""


class FailureRecord(Struct, frozen=True, kw_only=True):
    """A listed failure."""

    failure_id: str
    """Unique within the queue. A job that reuses the id of an earlier one has another."""
    job_id: str
    queue: str
    task: str
    state: JobState
    """`failed`, `dead` or `expired`."""
    cause: Cause
    """The cause with which it is counted."""
    failed_at: float
    attempt: int
    worker_id: str = ""
    reason: str | None = None
    """Why a `dead` job is dead."""
    failure: Failure | None = None
    """Without its traceback."""


class FailureGroup(Struct, frozen=True, kw_only=True):
    """The listed failures of one cause."""

    queue: str
    cause: Cause
    count: int
    first: float
    """When the oldest of them failed."""
    last: float
    """When the newest of them failed."""
    sample: FailureRecord
    """The newest of them."""


def failure_id_of(job_id: str, enqueued_at: float) -> str:
    """Return the id of the failure of a job: ids of jobs have no `~`."""
    return f"{job_id}~{round(enqueued_at * 1000)}"


def cause_of(task: str, failure: Failure | None, reason: str | None, known: Iterable[Cause]) -> Cause:
    """Return the cause with which a new failure is counted.

    Args:
        task: The name of the task.
        failure: The failure of the attempt that ended the job.
        reason: Why a dead job is dead.
        known: The causes of the failures that are listed.
    """
    cause = Cause(task, failure.type, failure.place) if failure else Cause(task, reason or "", "")
    apart = {one for one in known if one != OTHER_CAUSES}
    return cause if cause in apart or len(apart) < MAX_CAUSES else OTHER_CAUSES


def group_failures(failures: Iterable[FailureRecord]) -> list[FailureGroup]:
    """Return the groups of failures that are given newest first; the group with the newest failure comes first.

    Brokers keep their groups with each write, and answer what this function would.
    """
    groups: dict[Cause, FailureGroup] = {}
    for one in failures:
        known = groups.get(one.cause)
        groups[one.cause] = FailureGroup(
            queue=one.queue,
            cause=one.cause,
            count=known.count + 1 if known else 1,
            first=one.failed_at,
            last=known.last if known else one.failed_at,
            sample=known.sample if known else one,
        )
    return list(groups.values())


def matches(record: FailureRecord, text: str) -> bool:
    """Return whether the id, the task or the failure contains a text, in upper or lower case."""
    failure = record.failure or Failure("", "")
    parts = (record.job_id, record.task, record.reason or "", failure.type, failure.message, failure.place)
    return any(text.casefold() in part.casefold() for part in parts)


def describe_failure(job: JobRecord, known: Iterable[Cause]) -> FailureRecord:
    """Return the listed failure of a job that has just ended; `known` are the causes that are listed.

    A job that crashed its worker may have the failure of an earlier attempt, which is not why it ended.
    """
    failure = None if job.reason == CRASHED else job.failure
    return FailureRecord(
        failure_id=failure_id_of(job.id, job.enqueued_at),
        job_id=job.id,
        queue=job.queue,
        task=job.task,
        state=job.state,
        cause=cause_of(job.task, failure, job.reason, known),
        failed_at=job.finished_at or 0.0,
        attempt=job.attempt,
        worker_id=job.worker_id or "",
        reason=job.reason,
        failure=failure and without_traceback(failure),
    )
