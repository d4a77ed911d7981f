"""Defines the states of a job and every transition between them, as one table.

Rule 1: a transition that is not in `TRANSITIONS` does not exist. `aioq.testing` checks that of every broker.
Rule 2: this module does not know how a broker stores a job. The memory broker calls `after`; the Redis scripts get
their letters from `aioq_redis.storage.job_states`. The diagram in the documentation is drawn from this table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["FINAL_STATES", "TRANSITIONS", "IllegalTransition", "JobState", "Transition", "Verb", "after"]


class JobState(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    """Due; waits for a worker with a free slot."""
    SCHEDULED = "scheduled"
    """Not due yet, and no attempt has failed."""
    RUNNING = "running"
    """Leased to a worker."""
    RETRYING = "retrying"
    """An attempt failed; waits for the backoff before the next one."""
    COMPLETED = "completed"
    """The task returned."""
    FAILED = "failed"
    """The task raised, and no attempt is left."""
    CANCELLED = "cancelled"
    """A client or an operator cancelled it."""
    DEAD = "dead"
    """No further attempt can complete it: it crashed its workers, cannot be read, or has an unknown task."""
    EXPIRED = "expired"
    """It was not started in time, and is not run."""


class Verb(StrEnum):
    """The name of a transition."""

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
    """One row of the table: `verb` moves a job from `source` to `target`."""

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
    Transition(_S.RETRYING, _V.REPLAY, _S.PENDING),
    Transition(_S.FAILED, _V.REPLAY, _S.PENDING),
    Transition(_S.CANCELLED, _V.REPLAY, _S.PENDING),
    Transition(_S.DEAD, _V.REPLAY, _S.PENDING),
    Transition(_S.EXPIRED, _V.REPLAY, _S.PENDING),
)
"""Every transition. A job starts as `pending`, or as `scheduled` if it has a delay."""

FINAL_STATES: Final = frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.DEAD, _S.EXPIRED})
"""States that a job keeps until an operator replays it or its record is dropped."""

_TABLE: Final = {(row.source, row.verb): row.target for row in TRANSITIONS}


class IllegalTransition(ValueError):
    """A transition that the table does not have."""

    def __init__(self, state: JobState, verb: Verb) -> None:
        self.state = state
        self.verb = verb
        super().__init__(f"a {state} job has no transition {verb}")


def after(state: JobState, verb: Verb) -> JobState:
    """Return the state after the transition `verb` from `state`.

    Raises:
        IllegalTransition: The table has no such transition.
    """
    try:
        return _TABLE[state, verb]
    except KeyError:
        raise IllegalTransition(state, verb) from None
