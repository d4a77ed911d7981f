"""The logger of the worker, and how its records name a job.

All parts of the worker write to one logger, so that users configure and search one. Names and ids come from
whatever program can write to the broker: they are escaped and cut, so that they cannot forge a log line.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from aioq.model.job import Lease
from aioq.serialization.failure import one_line

__all__ = ["extra", "job_of", "log_failure", "logger", "shown", "warn_with_stack", "worker_id"]

logger = logging.getLogger("aioq.worker")

MAX_NAME = 200
"""Characters of a name or an id that are shown. A valid one is not longer."""


def shown(name: str) -> str:
    """Return a name or an id in a form that is safe in a log line."""
    return one_line(name, MAX_NAME)


def job_of(lease: Lease) -> str:
    """Return the text that log messages use for a leased job: its id and its task."""
    return f"job {shown(lease.job_id)} of {shown(lease.task)}"


def extra(event: str, lease: Lease) -> dict[str, Any]:
    """Return the attributes of a log record about a leased job, for programs that read the log.

    Args:
        event: The code of what happened. Programs match it, and not the text, which may change with a release.
        lease: The lease of the job.
    """
    return {
        "event": event,
        "job_id": lease.job_id,
        "task": lease.task,
        "queue": lease.queue,
        "attempt": lease.attempt,
        "epoch": lease.epoch,
    }


worker_id: ContextVar[str] = ContextVar("aioq_worker_id", default="")
"""The id of the worker that the current code belongs to; tasks that it starts inherit it."""


class WorkerIdFilter(logging.Filter):
    """Adds the attribute `worker_id` to the log records of a worker, and drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id unless the record has one: that of another worker, which it is about."""
        if not hasattr(record, "worker_id") and (own := worker_id.get()):
            record.worker_id = own
        return True


for name in ("aioq.worker", "aioq.cron", "aioq.redis"):
    # The loggers of all code that runs in a worker. A filter of a logger is not asked for records of its children.
    logging.getLogger(name).addFilter(WorkerIdFilter())


def warn_with_stack(event: str, message: str, *args: object, stack: str, lease: Lease | None) -> None:
    """Log a warning with a stack other than that of the caller.

    Args:
        event: The code of what happened.
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
        func=None, extra=extra(event, lease) if lease else {"event": event}, sinfo=stack,
    )  # fmt: skip
    logger.handle(record)


def log_failure(message: str, *args: object, error: BaseException, text: str, extra: Mapping[str, object]) -> None:
    """Log an error with an exception, whose text is bounded and free of what cannot be encoded.

    Args:
        message: The message, with a place for each of `args`.
        args: The values in the message.
        error: The exception, for handlers that group by its stack.
        text: Its traceback as `aioq.serialization.failure.describe` returns it, for handlers that write text.
        extra: Attributes of the record.
    """
    if not logger.isEnabledFor(logging.ERROR):
        return
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, message, args, (type(error), error, error.__traceback__), extra=extra
    )
    # A formatter takes this text instead of formatting the exception, which may have megabytes.
    record.exc_text = text.rstrip("\n")
    logger.handle(record)
