"""Types of the context: the plain dict that a running task gets as its first argument.

It also contains the mapping that the app's lifespan yields. To type those keys, define a subclass:
`class MyContext(JobContext): db: Pool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from aioq.protocols import Broker

__all__ = ["Context", "CronContext", "JobContext", "ScheduledContext"]


class Context(TypedDict):
    """The keys of every context."""

    worker_id: str
    broker: Broker


class JobContext(Context):
    """The context of a task that runs a job."""

    job_id: str
    attempt: int
    """1 for the first attempt; released attempts do not count."""
    epoch: int
    """Increases with every claim of the job: a fencing token for stores that accept one."""
    queue: str
    enqueued_at: datetime
    """In UTC, on the broker's clock."""
    headers: Mapping[str, str]
    """What `task.options(headers=...)` and instrumentation sent with the job. They are not signed: a program with
    access to the broker can change them."""


class ScheduledContext(JobContext):
    """The context of a task that runs a job of `app.schedule`."""

    cron_name: str
    scheduled_at: datetime
    """The tick: the moment at which the schedule was due, in the zone of the entry."""
    previous_success: datetime | None
    """The latest earlier tick whose job completed, in the zone of the entry; None if there is none."""
    previous_result: Any
    """The result of that job, as the task's return type; None if there is none."""


class CronContext(Context):
    """The context of an `app.cron` function. It has no `job_id`, because there is no job."""

    cron_name: str
    scheduled_at: datetime
    """The tick: the moment at which the schedule was due, in the zone of the entry."""
    fired_at: datetime
    """When the function was started, in UTC, on the worker's clock."""
