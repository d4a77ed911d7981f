"""What becomes of a job after an attempt: decided from values alone."""

from __future__ import annotations

import random
from collections.abc import Callable

from aioq.errors import BadSignature, PayloadTooLarge, Retry
from aioq.model.job import Dead, Expired, Failed, Failure, Lease, Retried, Settlement
from aioq.options import TaskOptions
from aioq.retry import backoff_delay
from aioq.serialization.failure import describe

__all__ = ["after_error", "expired", "unknown_task", "unreadable", "wants_retry"]

UNKNOWN_TASK_TRIES = 3
"""A worker that does not know a task hands the job on so often: another may, during a deploy."""

UNKNOWN_TASK_DELAY = 10.0
"""Seconds before the first of those tries; doubled each time."""


def after_error(
    options: TaskOptions, lease: Lease, error: BaseException, *, rand: Callable[[], float] = random.random
) -> Settlement:
    """Return how an attempt that raised is settled: by another attempt, or as failed.

    Attempts that ended in a crash of the worker do not count against `retries`.
    """
    failure = describe(error)
    failures = lease.attempt - lease.crashes
    if failures > options.retries or not wants_retry(options, error):
        return Failed(lease=lease, failure=failure, retain_for=options.result_ttl)
    delay = error.delay if isinstance(error, Retry) else None
    if delay is None:
        delay = backoff_delay(
            failures, base=options.retry_delay, backoff=options.backoff, jitter=options.jitter, rand=rand
        )
    return Retried(lease=lease, delay=delay, failure=failure)


def wants_retry(options: TaskOptions, error: BaseException) -> bool:
    """Whether this kind of error is retried at all."""
    if isinstance(error, Retry):
        return True
    return isinstance(error, options.retry_on) and not isinstance(error, options.no_retry_on)


def expired(lease: Lease, now: float) -> Settlement | None:
    """Return how a job is settled that was not started in time; None when it may be started.

    Only its first run has to begin in time: what was put back by hand is wanted.
    """
    if lease.expires_at is None or now <= lease.expires_at or lease.epoch > 1:
        return None
    text = f"it was not started in time, but {now - lease.expires_at:.3g} s too late"
    return Expired(lease=lease, failure=Failure("Expired", text))


def unreadable(lease: Lease, error: Exception) -> Settlement:
    """Return how a job is settled whose arguments could not be had: no further attempt will have them."""
    match error:
        case PayloadTooLarge():
            reason = "too_large"
        case BadSignature():
            reason = "bad_signature"
        case _:
            reason = "malformed"
    return Dead(lease=lease, reason=reason, failure=describe(error))


def unknown_task(lease: Lease, error: BaseException) -> Settlement:
    """Return how a job is settled whose task this worker does not have."""
    tries = lease.attempt - lease.crashes
    if tries > UNKNOWN_TASK_TRIES:
        return Dead(lease=lease, reason="unknown_task", failure=describe(error))
    return Retried(lease=lease, delay=UNKNOWN_TASK_DELAY * 2.0 ** (tries - 1), failure=describe(error))
