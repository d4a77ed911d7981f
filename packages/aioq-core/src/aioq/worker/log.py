"""The logger of the worker, and how its records name a job.

All parts of the worker write to one logger, so that users configure and search one. Names and ids come from
whatever program can write to the broker: they are escaped and cut, so that they cannot forge a log line.
"""

from __future__ import annotations

import logging
from typing import Any

from aioq.model.job import Lease
from aioq.serialization.failure import one_line

__all__ = ["extra", "job_of", "logger", "shown", "warn_with_stack"]

logger = logging.getLogger("aioq.worker")

MAX_NAME = 200
"""Characters of a name or an id that are shown. A valid one is not longer."""


def shown(name: str) -> str:
    """Return a name or an id in a form that is safe in a log line."""
    return one_line(name, MAX_NAME)


def job_of(lease: Lease) -> str:
    """Return the text that log messages use for a leased job: its id and its task."""
    return f"job {shown(lease.job_id)} of {shown(lease.task)}"


def extra(lease: Lease) -> dict[str, Any]:
    """Return the attributes of every log record about a leased job, for programs that read the log."""
    return {"job_id": lease.job_id, "task": lease.task, "attempt": lease.attempt, "epoch": lease.epoch}


def warn_with_stack(message: str, *args: object, stack: str, lease: Lease | None) -> None:
    """Log a warning with a stack other than that of the caller.

    Args:
        message: The message, with a place for each of `args`.
        args: The values in the message.
        stack: The stack, with a heading.
        lease: The job that it is about, if any.
    """
    if not logger.isEnabledFor(logging.WARNING):
        return
    # Not by `logger.warning`: its `stack_info=True` would show the stack of this thread.
    record = logger.makeRecord(
        logger.name, logging.WARNING, __file__, 0, message, args, None,
        func=None, extra=extra(lease) if lease else None, sinfo=stack,
    )  # fmt: skip
    logger.handle(record)
