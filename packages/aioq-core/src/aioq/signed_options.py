"""The options of a job that its signature covers: those that let it run longer or more often."""

from __future__ import annotations

from aioq.errors import BadSignature
from aioq.model.job import Lease, NewJob
from aioq.options import latest_start

__all__ = ["check_terms", "terms_of"]

ROUNDING = 0.01
"""Seconds by which the latest start of a lease may differ from the signed one."""


def terms_of(job: NewJob) -> bytes:
    """Return the covered options of a job as text, which is signed with its payload."""
    numbers = (job.max_crashes, *map(_milliseconds, (job.expires, job.delay, job.run_at, job.expires_at)))
    return b" ".join(b"-" if number is None else b"%d" % number for number in numbers)


def check_terms(lease: Lease, terms: bytes) -> None:
    """Check that a lease has the options that were signed with its payload.

    Raises:
        BadSignature: It has others.
    """
    try:
        crashes, *numbers = (None if word == b"-" else int(word) for word in terms.split(b" "))
        expires, delay, run_at, until = (None if number is None else number / 1000 for number in numbers)
    except ValueError:
        raise BadSignature(f"the options of job {lease.job_id} of {lease.task} are not signed") from None
    start = latest_start(lease.enqueued_at, expires=expires, delay=delay or 0.0, run_at=run_at, expires_at=until)
    # Once a job was started it no longer expires, and its lease names no latest start. It has an epoch above 1 then.
    fits = start is None if lease.expires_at is None and lease.epoch == 1 else _is_same(lease.expires_at, start)
    if crashes != lease.max_crashes or not fits:
        raise BadSignature(f"the options of job {lease.job_id} of {lease.task} were changed after they were signed")


def _is_same(granted: float | None, signed: float | None) -> bool:
    # Brokers round to milliseconds.
    return granted is None or (signed is not None and abs(granted - signed) < ROUNDING)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
