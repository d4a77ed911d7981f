"""What a running task gets as its first argument: a plain dict of one of these types.

Whatever the app's lifespan yields is in it as well. To have those keys typed, subclass:
`class MyContext(JobContext): db: Pool`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

from aioq.protocols import Broker

__all__ = ["Context", "CronContext", "JobContext", "ScheduledContext"]


class Context(TypedDict):
    """What every task can see."""

    worker_id: str
    broker: Broker


class JobContext(Context):
    """What a task sees when it runs a job."""

    job_id: str
    attempt: int
    """1 for the first; attempts that were released do not count."""
    epoch: int
    """Grows with every run of the job: a fencing token for stores that take one."""
    queue: str
    enqueued_at: datetime
    """In UTC, on the broker's clock."""


class ScheduledContext(JobContext):
    """What a task sees when it runs a job of `app.schedule`."""

    cron_name: str
    scheduled_at: datetime
    """The moment that the schedule named, in UTC."""
    previous_success: datetime | None
    """The latest tick before this one whose job completed, in UTC; None when there is none."""
    previous_result: Any
    """What that job returned, as the type that the task is annotated with; None when there is none."""


class CronContext(Context):
    """What a cron task sees. It has no `job_id`: a cron task makes no job record."""

    cron_name: str
    scheduled_at: datetime
    """The moment that the schedule named, in UTC."""
    fired_at: datetime
    """The moment the task was started, in UTC, on the worker's clock."""
