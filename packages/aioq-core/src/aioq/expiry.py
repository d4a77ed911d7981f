"""Until when a job may be started: a pure function of what was said of it when it was enqueued."""

from __future__ import annotations

__all__ = ["latest_start"]


def latest_start(
    enqueued_at: float,
    *,
    expires: float | None,
    delay: float = 0.0,
    run_at: float | None = None,
    expires_at: float | None = None,
) -> float | None:
    """Return the moment after which a job is not started any more; None when there is none.

    That is `expires_at`, or else `expires` seconds after the job came due, by `delay` or `run_at`
    as a broker reckons them.
    """
    if expires_at is not None:
        return expires_at
    if expires is None:
        return None
    return expires + (enqueued_at + delay if run_at is None else max(enqueued_at, run_at))
