"""Puts the running job into the log records of an application."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from aioq.handle import current_job

__all__ = ["JobFilter"]

_EMPTY: Final[Mapping[str, object]] = {"job_id": "", "task": "", "queue": "", "attempt": 0, "worker_id": ""}


class JobFilter(logging.Filter):
    """A filter of handlers that adds the running job to each record: `job_id`, `task`, `queue`, `attempt`, `worker_id`.

    Outside of a job they are empty, and `attempt` is 0. A record keeps what it has; if it has a `job_id`, it is about
    another job, and what it lacks is empty.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes that the record lacks, and keep the record."""
        running = current_job.get()
        job = None if hasattr(record, "job_id") else running
        for name, empty in _EMPTY.items():
            if not hasattr(record, name):
                source = running if name == "worker_id" else job
                setattr(record, name, empty if source is None else getattr(source, name))
        return True
