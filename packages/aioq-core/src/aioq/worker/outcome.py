"""Decides how an attempt is settled, and what to log about it: pure functions of lease, options and error."""

from __future__ import annotations

import random
from collections.abc import Callable

from aioq.errors import BadSignature, PayloadTooLarge, Retry, UnknownTask
from aioq.model.job import Dead, Expired, Failed, Failure, HandedBack, Lease, Retried, Settlement
from aioq.options import TaskOptions
from aioq.retry import backoff_delay
from aioq.serialization.failure import causes, describe
from aioq.serialization.mismatch import ArgumentMismatch

__all__ = ["after_error", "cannot_run", "expired", "unreadable", "wants_retry"]

MAX_HAND_BACKS = 3
"""How often a job is handed back by workers that cannot run it: during a deployment another worker can."""

HAND_BACK_DELAY = 10.0
"""Seconds until a job that was handed back is due again; doubled each time."""


def after_error(
    options: TaskOptions, lease: Lease, error: BaseException, *, package: str = "",
    rand: Callable[[], float] = random.random,
) -> Settlement:  # fmt: skip
    """Return the settlement of an attempt that raised: another attempt, or failed.

    Attempts that ended in a crash of the worker do not count against `retries`. `package` is the top-level package of
    the task.
    """
    failure = describe(error, package=package)
    failures = lease.attempt - lease.crashes  # this attempt included
    if failures > options.retries or not wants_retry(options, error):
        return Failed(lease=lease, failure=failure, retain_for=options.result_ttl)
    # A task that raises `Retry(delay=...)` chooses its own delay, without jitter.
    chosen = [cause.delay for cause in causes(error) if isinstance(cause, Retry) and cause.delay is not None]
    delay = max(chosen, default=None)
    if delay is None:
        delay = backoff_delay(
            failures, base=options.retry_delay, backoff=options.backoff, jitter=options.jitter, rand=rand
        )
    return Retried(lease=lease, delay=delay, failure=failure)


def wants_retry(options: TaskOptions, error: BaseException) -> bool:
    """Return whether the task's options allow a retry after this kind of error.

    A group of exceptions, as a TaskGroup raises it, is retried if each of its causes would be. An option that names
    a type of group applies to the whole group.
    """
    if _names_group(options.no_retry_on, error):
        return False
    whole = _names_group(options.retry_on, error)
    return all(
        isinstance(cause, Retry)
        or ((whole or isinstance(cause, options.retry_on)) and not isinstance(cause, options.no_retry_on))
        for cause in causes(error)
    )


def _names_group(kinds: tuple[type[BaseException], ...], error: BaseException) -> bool:
    return any(BaseExceptionGroup in kind.__mro__ and isinstance(error, kind) for kind in kinds)


def expired(lease: Lease, now: float) -> Settlement | None:
    """Return the settlement of a job whose latest start has passed; None if the job may start.

    The lease of a job that was started or replayed has no latest start: it is run however late it is.
    """
    if lease.expires_at is None or now <= lease.expires_at:
        return None
    text = f"its latest start was {now - lease.expires_at:.3g} s ago"
    return Expired(lease=lease, failure=Failure("Expired", text))


def unreadable(lease: Lease, error: Exception) -> Settlement:
    """Return the settlement of a job whose arguments cannot be read: dead, since a retry could not read them either."""
    match error:
        case PayloadTooLarge():
            reason = "too_large"
        case BadSignature():
            reason = "bad_signature"
        case _:
            reason = "malformed"
    return Dead(lease=lease, reason=reason, failure=describe(error))


def cannot_run(lease: Lease, error: UnknownTask | ArgumentMismatch) -> Settlement:
    """Return the settlement of a job that this release of the app cannot run: handed back, in the end dead.

    Neither attempts nor crashes count: the task was not started.
    """
    if lease.hand_backs >= MAX_HAND_BACKS:
        reason = "unknown_task" if isinstance(error, UnknownTask) else "mismatched_arguments"
        return Dead(lease=lease, reason=reason, failure=describe(error))
    # 10, 20 and 40 s: together longer than most deployments take.
    return HandedBack(lease=lease, delay=HAND_BACK_DELAY * 2.0**lease.hand_backs, failure=describe(error))
