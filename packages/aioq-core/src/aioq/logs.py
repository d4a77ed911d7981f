"""Puts the running job into the log records of an application."""

from __future__ import annotations

import logging

from aioq.handle import current_job

__all__ = ["JobFilter"]


class JobFilter(logging.Filter):
    """A filter of handlers that adds the running job to each record: `job_id`, `task`, `queue`, `attempt`, `worker_id`.

    Outside of a job they are empty, and `attempt` is 0. A record that has a `job_id` keeps it: it is about another job.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes, and keep the record."""
        if not hasattr(record, "job_id"):
            job = current_job.get()
            record.job_id = job.job_id if job else ""
            record.task = job.task if job else ""
            record.queue = job.queue if job else ""
            record.attempt = job.attempt if job else 0
        if not hasattr(record, "worker_id"):
            job = current_job.get()
            record.worker_id = job.worker_id if job else ""
        return True
