"""Lets a tracer see jobs and ticks while they are handled: it is called around enqueues, runs and calls of crons.

Listeners of events learn what has happened. An instrumentation is there while it happens: what it sets in context
variables reaches the code of the application, also in threads, and what it adds to the headers of a job reaches the
worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from msgspec import structs

from aioq.events import JobEvent
from aioq.model.headers import check_headers
from aioq.model.job import Lease, NewJob
from aioq.protocols import Broker

__all__ = ["Enqueue", "Instrumentation", "Run", "TickRun", "enqueue_watched", "watched"]

logger = logging.getLogger("aioq.instrumentation")

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Enqueue:
    """One call that stores jobs."""

    jobs: Sequence[NewJob]
    """At least one."""
    batch: bool
    """Whether the call is `enqueue_many`."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Empty at first. What is added here is sent with each of the jobs, beside the headers that they have."""
    is_new: Sequence[bool] | None = None
    """For each job whether its id was not known before, once the broker has answered."""


@dataclass(slots=True, eq=False)
class Run:
    """One run of a job by a worker: of its task, with decoded arguments."""

    lease: Lease
    outcome: JobEvent | None = None
    """How the run ended, as the worker is about to report it: `COMPLETED`, `RETRIED`, `FAILED` or `RELEASED`; or, if
    another worker has the job, `LOST`, and `CANCELLED` if a client cancelled it. None before that, and if the whole
    worker is cancelled."""
    error: BaseException | None = None
    """The exception with which the attempt failed."""


@dataclass(slots=True, eq=False)
class TickRun:
    """One call of the function of a cron. Ticks of `app.schedule` enqueue jobs and are none."""

    name: str
    """The name of the entry."""
    queue: str
    tick: datetime
    """The moment at which the schedule was due."""
    worker_id: str
    error: BaseException | None = None
    """The exception with which the call ended, also at its timeout."""
    interrupted: str = ""
    """Why the call was interrupted otherwise: a newer run took its place, or the worker stopped."""


class Instrumentation(Protocol):
    """A tracer, added with `app.instrument`.

    Each method returns a context manager that is entered before and left after, in the task that does the work. What
    changes meanwhile is in the attributes of the argument when it is left. An exception in a method or a context
    manager is logged and has no other effect, and none of them can swallow an exception.
    """

    def enqueueing(self, enqueue: Enqueue, /) -> AbstractContextManager[object]:
        """Called around the call of the broker that stores jobs. It may add to `enqueue.headers` when it is entered."""
        ...

    def running(self, run: Run, /) -> AbstractContextManager[object]:
        """Called around each run of a job. A plain `def` runs in a thread with a copy of the context variables."""
        ...

    def ticking(self, tick: TickRun, /) -> AbstractContextManager[object]:
        """Called around each call of the function of a cron."""
        ...


@contextmanager
def watched(hooks: Iterable[Callable[[T], AbstractContextManager[object]]], subject: T) -> Generator[None]:
    """Enter what these methods of instrumentations return, and leave it at the end of the block."""
    entered = [manager for hook in hooks if (manager := _entered(hook, subject)) is not None]
    try:
        yield
    except BaseException as error:
        _leave(entered, error)
        raise
    _leave(entered, None)


async def enqueue_watched(
    broker: Broker, instruments: Sequence[Instrumentation], jobs: Sequence[NewJob], *, batch: bool = False
) -> list[bool]:
    """Store jobs with the headers that instrumentations add; see `aioq.protocols.Broker.enqueue`."""
    if not jobs:
        return await broker.enqueue(jobs)
    enqueue = Enqueue(jobs, batch)
    with watched([one.enqueueing for one in instruments], enqueue):
        is_new = await broker.enqueue([_with_headers(job, enqueue.headers) for job in jobs])
        enqueue.is_new = is_new
    return is_new


def _entered(hook: Callable[[T], AbstractContextManager[object]], subject: T) -> AbstractContextManager[object] | None:
    try:
        manager = hook(subject)
        manager.__enter__()
    except Exception as error:
        _log(hook, error)
        return None
    return manager


def _leave(entered: Sequence[AbstractContextManager[object]], error: BaseException | None) -> None:
    for manager in reversed(entered):
        try:
            manager.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except Exception as raised:
            _log(manager, raised)


def _with_headers(job: NewJob, headers: dict[str, str]) -> NewJob:
    if not headers:
        return job
    try:
        return structs.replace(job, headers=check_headers({**(job.headers or {}), **headers}))
    except (TypeError, ValueError) as error:
        logger.warning(
            "job %s is sent without the headers of the instrumentation: %s",
            job.id,
            error,
            extra={"event": "headers_left_out"},
        )
        return job


def _log(culprit: object, error: Exception) -> None:
    logger.error(
        "the instrumentation %r raised; jobs and ticks go on as if it had not", culprit, exc_info=error,
        extra={"event": "instrumentation_failed"},
    )  # fmt: skip
