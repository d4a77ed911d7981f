"""Reads listed failures; see `lua/lib/failures.lua` for their format."""

from __future__ import annotations

import re
from hashlib import sha1
from typing import Final

from aioq.model.failures import OTHER_CAUSES, Cause, FailureRecord
from aioq.model.states import JobState
from aioq_redis.storage.attempt_format import read_failure
from aioq_redis.storage.job_states import ENDED_STATES

__all__ = ["OTHER", "group_of", "read_listed"]

OTHER: Final = "other"
"""The group of failures whose cause is not counted apart."""

_LISTED: Final = re.compile(rb"(\S{1,40}) ([a-z]) (\d{1,15}) (\d{1,9}) (\S+) (\S*) ([^\n]*)\n(.*)", re.DOTALL)


def group_of(cause: Cause) -> str:
    """Return the group of a cause, as the script computes it."""
    if cause == OTHER_CAUSES:
        return OTHER
    text = f"{cause.task}\n{cause.type}\n{cause.place}"
    return sha1(text.encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()[:12]


def read_listed(queue: str, failure_id: bytes, text: bytes) -> FailureRecord | None:
    """Read a listed failure; None if another program has stored it."""
    found = _LISTED.fullmatch(text)
    if found is None or found[2] not in ENDED_STATES:
        return None
    group, letter, moment, attempt, task, worker, reason, short = found.groups()
    failure, state = read_failure(short), ENDED_STATES[letter]
    name, why = task.decode("utf-8", "replace"), reason.decode("utf-8", "replace")
    cause = Cause(name, failure.type, failure.place) if failure else Cause(name, why, "")
    identity = failure_id.decode("ascii", "backslashreplace")
    return FailureRecord(
        failure_id=identity,
        job_id=identity.rpartition("~")[0],
        queue=queue,
        task=name,
        state=state,
        cause=OTHER_CAUSES if group == OTHER.encode() else cause,
        failed_at=int(moment) / 1000,
        attempt=int(attempt),
        worker_id=worker.decode("utf-8", "replace"),
        reason=why if state is JobState.DEAD else None,
        failure=failure,
    )
