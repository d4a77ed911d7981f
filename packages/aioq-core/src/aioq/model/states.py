"""The life of a job as one table: every state, and every transition between them.

Rule 1: a transition that is not in `TRANSITIONS` does not exist. `aioq.testing` checks that of every broker.
Rule 2: nothing here knows how a broker stores a job. The memory broker asks `after`; the Redis scripts get
their letters from `aioq_redis.storage.job_states`. The diagram in the documentation is drawn from this table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["FINAL_STATES", "TRANSITIONS", "IllegalTransition", "JobState", "Transition", "Verb", "after"]


class JobState(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    """Due, and waiting for a worker with a free slot."""
    SCHEDULED = "scheduled"
    """Waiting for its time to come, without an attempt that failed."""
    RUNNING = "running"
    """Leased to a worker."""
    RETRYING = "retrying"
    """An attempt failed; waiting for the backoff to pass before the next one."""
    COMPLETED = "completed"
    """The task returned."""
    FAILED = "failed"
    """The task raised and has no attempt left."""
    CANCELLED = "cancelled"
    """Somebody called it off."""
    DEAD = "dead"
    """No run can finish it: it crashed its workers, cannot be read, or names no known task."""
    EXPIRED = "expired"
    """It was not started in time, and was not run."""


class Verb(StrEnum):
    """What moves a job from one state to another."""

    CLAIM = "claim"
    DUE = "due"
    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    RELEASE = "release"
    POSTPONE = "postpone"
    REAP = "reap"
    MARK_DEAD = "mark dead"
    EXPIRE = "expire"
    CANCEL = "cancel"
    REPLAY = "replay"


class Transition(NamedTuple):
    """One row of the table."""

    source: JobState
    verb: Verb
    target: JobState


_S, _V = JobState, Verb

TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(_S.SCHEDULED, _V.DUE, _S.PENDING),
    Transition(_S.RETRYING, _V.DUE, _S.PENDING),
    Transition(_S.PENDING, _V.CLAIM, _S.RUNNING),
    Transition(_S.RUNNING, _V.COMPLETE, _S.COMPLETED),
    Transition(_S.RUNNING, _V.RETRY, _S.RETRYING),
    Transition(_S.RUNNING, _V.FAIL, _S.FAILED),
    Transition(_S.RUNNING, _V.RELEASE, _S.PENDING),
    Transition(_S.RUNNING, _V.POSTPONE, _S.SCHEDULED),
    Transition(_S.RUNNING, _V.REAP, _S.PENDING),
    Transition(_S.RUNNING, _V.MARK_DEAD, _S.DEAD),
    Transition(_S.RUNNING, _V.EXPIRE, _S.EXPIRED),
    Transition(_S.PENDING, _V.CANCEL, _S.CANCELLED),
    Transition(_S.SCHEDULED, _V.CANCEL, _S.CANCELLED),
    Transition(_S.RETRYING, _V.CANCEL, _S.CANCELLED),
    Transition(_S.RUNNING, _V.CANCEL, _S.CANCELLED),
    Transition(_S.FAILED, _V.REPLAY, _S.PENDING),
    Transition(_S.CANCELLED, _V.REPLAY, _S.PENDING),
    Transition(_S.DEAD, _V.REPLAY, _S.PENDING),
    Transition(_S.EXPIRED, _V.REPLAY, _S.PENDING),
)
"""Every transition there is. A job starts as `pending`, or as `scheduled` when it has a delay."""

FINAL_STATES: Final = frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.DEAD, _S.EXPIRED})
"""States in which no worker will touch the job again by itself."""

_TABLE: Final = {(row.source, row.verb): row.target for row in TRANSITIONS}


class IllegalTransition(ValueError):
    """A job was asked to make a move that the table does not have."""

    def __init__(self, state: JobState, verb: Verb) -> None:
        self.state, self.verb = state, verb
        super().__init__(f"a {state} job has no way to {verb}")


def after(state: JobState, verb: Verb) -> JobState:
    """Return the state that `verb` leads to from `state`.

    Raises:
        IllegalTransition: The table has no such row.
    """
    try:
        return _TABLE[state, verb]
    except KeyError:
        raise IllegalTransition(state, verb) from None
