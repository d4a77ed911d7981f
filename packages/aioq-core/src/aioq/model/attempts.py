"""Decides what a broker stores about an attempt that has ended: pure functions of settlements and moments."""

from __future__ import annotations

from aioq.model.job import (
    MAX_ATTEMPTS,
    Attempt,
    AttemptOutcome,
    Completed,
    Dead,
    Expired,
    Failed,
    Failure,
    HandedBack,
    Released,
    Retried,
    Settlement,
)

__all__ = ["add_attempt", "attempt_of", "without_traceback"]

_OUTCOMES: dict[type[object], AttemptOutcome] = {
    Completed: AttemptOutcome.COMPLETED,
    Failed: AttemptOutcome.FAILED,
    Dead: AttemptOutcome.DEAD,
    Expired: AttemptOutcome.EXPIRED,
    Retried: AttemptOutcome.RETRIED,
    HandedBack: AttemptOutcome.HANDED_BACK,
    Released: AttemptOutcome.RELEASED,
}


def attempt_of(settlement: Settlement, *, started_at: float, now: float) -> Attempt | None:
    """Return the attempt that a settlement ends; None for the release of a job that was not started.

    Args:
        settlement: The settlement.
        started_at: When the job was claimed.
        now: The broker's clock.
    """
    if isinstance(settlement, Released):
        if not settlement.started:
            return None
        failure = None
    else:
        failure = None if isinstance(settlement, Completed) else settlement.failure
    lease = settlement.lease
    return Attempt(
        number=lease.attempt,
        worker_id=lease.worker_id,
        started_at=started_at,
        duration=max(now - started_at, 0.0),
        outcome=_OUTCOMES[type(settlement)],
        failure=failure and without_traceback(failure),
    )


def add_attempt(attempts: tuple[Attempt, ...], attempt: Attempt | None) -> tuple[Attempt, ...]:
    """Return the latest attempts, with one more if it is not None."""
    return attempts if attempt is None else (*attempts, attempt)[-MAX_ATTEMPTS:]


def without_traceback(failure: Failure) -> Failure:
    """Return a failure without its traceback."""
    return Failure(failure.type, failure.message, place=failure.place)
