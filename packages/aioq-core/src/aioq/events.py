"""Defines the events of jobs, ticks and workers, and passes them to listeners in the same process.

An event is something that happened. A fact is its value: which job, tick or worker, when, and how. The parts of aioq
that cause an event look into `Events.listeners` first, and build a fact only if it has a listener.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias

from msgspec import Struct

from aioq.model.job import Failure, Lease, NewJob
from aioq.model.workers import WorkerInfo

__all__ = [
    "OUTCOMES",
    "Event",
    "Events",
    "Fact",
    "JobEvent",
    "JobFact",
    "TickEvent",
    "TickFact",
    "WorkerEvent",
    "WorkerFact",
    "run_fact",
]

logger = logging.getLogger("aioq.events")

LOG_INTERVAL = 60.0
"""Seconds for which further errors of the same listener are not logged."""


class JobEvent(StrEnum):
    """What happened to a job.

    A run that has `STARTED` ends with one of the events after it, in the same process: unless the process dies.
    """

    ENQUEUED = "job_enqueued"
    """The broker has stored it, and its id was not known before."""
    STARTED = "job_started"
    """A worker calls its task."""
    COMPLETED = "job_completed"
    RETRIED = "job_retried"
    """An attempt failed, and another one follows."""
    FAILED = "job_failed"
    """An attempt failed, and none is left."""
    EXPIRED = "job_expired"
    DEAD = "job_dead"
    RELEASED = "job_released"
    """It is back in its queue, and the attempt does not count: its worker stops, cannot run it, or is gone."""
    CANCELLED = "job_cancelled"
    """A client cancelled it. If it was running, the worker has the event, too, when it has ended the run."""
    LOST = "job_lost"
    """Its run in this worker has no outcome: the lease was lost, and the job runs again elsewhere."""


class TickEvent(StrEnum):
    """What happened to a tick of a cron entry."""

    FIRED = "tick_fired"
    """Its function is called, or its job was enqueued."""
    SKIPPED = "tick_skipped"
    """A policy or an operator decided not to fire it."""
    MISSED = "tick_missed"
    """No worker fired it."""
    COMPLETED = "tick_completed"
    """Its function returned. For a tick with a job the events of the job tell."""
    FAILED = "tick_failed"
    """Its function raised, or was interrupted."""


class WorkerEvent(StrEnum):
    """What happened to a worker."""

    STARTED = "worker_started"
    REPORTED = "worker_reported"
    """It describes itself for the broker's list of workers: when it starts, three times per lease, and in an outage at
    each attempt to reach the broker."""
    STOPPED = "worker_stopped"
    STUCK = "worker_stuck"
    """The task of a job goes on 5 seconds after it was interrupted, and keeps its slot."""
    OUTAGE_BEGAN = "outage_began"
    """The broker does not answer the worker."""
    OUTAGE_ENDED = "outage_ended"


Event: TypeAlias = JobEvent | TickEvent | WorkerEvent

OUTCOMES: Final = frozenset(
    (JobEvent.COMPLETED, JobEvent.RETRIED, JobEvent.FAILED, JobEvent.EXPIRED, JobEvent.DEAD, JobEvent.RELEASED)
)
"""Events of a job that a worker has only after the broker has accepted the outcome."""


class JobFact(Struct, frozen=True, kw_only=True):
    """An event of a job.

    The queue and the id identify the job. Moments are seconds since 1970 on the clock of this process.
    """

    event: JobEvent
    job_id: str
    queue: str
    task: str
    """Empty if the broker does not tell."""
    at: float
    attempt: int = 0
    """0 before the first attempt."""
    epoch: int = 0
    worker_id: str = ""
    """The worker of the run that the event is about; empty without a run. If another worker takes the job from one that
    is gone, this is the one that is gone."""
    wait: float | None = None
    """Seconds from the moment at which the job was due to its claim, on the broker's clock."""
    duration: float | None = None
    """Seconds that the run took; None if the task was not called."""
    delay: float | None = None
    """Seconds until the job is due again."""
    failure: Failure | None = None
    error: BaseException | None = None
    """The exception behind `failure`, if it was raised in this process."""
    reason: str = ""
    """Why the job is dead, or was released: `crashed`, `cut off`, `handed back`, `stopping` and others."""
    by: str = ""
    """The one that cancelled the job, or the worker that took it from one that is gone."""


class TickFact(Struct, frozen=True, kw_only=True):
    """An event of a tick, or of several consecutive ticks that were skipped or missed together."""

    event: TickEvent
    name: str
    """The name of the entry. The queue and the name identify it."""
    queue: str
    tick: float
    """The moment at which the schedule was due, in seconds since 1970; the last one if `count` is above 1."""
    at: float
    worker_id: str
    count: int = 1
    late: float | None = None
    """Seconds from the tick to its firing."""
    duration: float | None = None
    job_id: str = ""
    """The job of a tick that enqueues one."""
    reason: str = ""
    """A `TickReason`."""
    error: str = ""
    """The error of a run in one line."""


class WorkerFact(Struct, frozen=True, kw_only=True):
    """An event of a worker."""

    event: WorkerEvent
    worker_id: str
    at: float
    queues: tuple[str, ...] = ()
    """The queues that it consumes. In an outage, those that cannot be reached while others can; else none."""
    job_id: str = ""
    """The job of a slot that is stuck."""
    task: str = ""
    stuck: int = 0
    """Slots that are stuck."""
    duration: float | None = None
    """Seconds that the outage lasted, or for which the worker was up."""
    reason: str = ""
    info: WorkerInfo | None = None
    """What the worker reports of itself."""


Fact: TypeAlias = JobFact | TickFact | WorkerFact

Listener: TypeAlias = Callable[[Any], object]


class Events:
    """Passes facts to listeners, in the order in which these were added.

    Attributes:
        listeners: The listeners of each event that has any. Only `add` and `remove` change it.
    """

    def __init__(self) -> None:
        self.listeners: dict[Event, tuple[Listener, ...]] = {}
        self._logged: dict[int, float] = {}
        """When an error of a listener was logged, by its identity."""

    def add(self, events: Event | type[Event], listener: Listener) -> None:
        """Call `listener` with the fact of each of these events: of one, or of all of a class.

        Raises:
            TypeError: `events` is something else, or `listener` cannot be called or is a coroutine function.
        """
        if not callable(listener):
            raise TypeError(f"a listener is a function with one argument, the fact; got {listener!r}")
        if inspect.iscoroutinefunction(listener):
            raise TypeError(
                f"a listener is a plain function, got the coroutine function {listener!r}; let a plain one put the "
                "fact into a queue that a task of yours reads"
            )
        for event in _members(events):
            self.listeners[event] = (*self.listeners.get(event, ()), listener)

    def remove(self, events: Event | type[Event], listener: Listener) -> None:
        """Call a listener no more. Does nothing if it was not added."""
        for event in _members(events):
            left = tuple(one for one in self.listeners.get(event, ()) if one != listener)
            if left:
                self.listeners[event] = left
            else:
                self.listeners.pop(event, None)

    def fire(self, fact: Fact) -> None:
        """Call the listeners of an event. One that raises is logged, at most once a minute."""
        for listener in self.listeners.get(fact.event, ()):
            try:
                listener(fact)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also SystemExit: it must not end the part of the worker that calls
                self._log(listener, fact, error)

    def fire_enqueued(self, jobs: Sequence[NewJob], is_new: Sequence[bool], *, at: float) -> None:
        """Fire `JobEvent.ENQUEUED` for those of several jobs that are new."""
        for job, new in zip(jobs, is_new, strict=True):
            if new:
                self.fire(JobFact(event=JobEvent.ENQUEUED, job_id=job.id, queue=job.queue, task=job.task, at=at))

    def _log(self, listener: Listener, fact: Fact, error: BaseException) -> None:
        if fact.at - self._logged.get(id(listener), 0.0) < LOG_INTERVAL:
            return
        self._logged[id(listener)] = fact.at
        logger.error(
            "the listener %r raised at the event %s, which goes on as if it had not", listener, fact.event.value,
            exc_info=error, extra={"event": "listener_failed"},
        )  # fmt: skip


def run_fact(event: JobEvent, lease: Lease, *, at: float, **more: Any) -> JobFact:
    """Return the fact of an event of a run, with the fields of its lease."""
    return JobFact(
        event=event, job_id=lease.job_id, queue=lease.queue, task=lease.task, at=at, attempt=lease.attempt,
        epoch=lease.epoch, worker_id=lease.worker_id, wait=lease.wait, **more,
    )  # fmt: skip


def _members(events: Event | type[Event]) -> Sequence[Event]:
    if isinstance(events, JobEvent | TickEvent | WorkerEvent):
        return [events]
    if events in (JobEvent, TickEvent, WorkerEvent):
        return list(events)
    raise TypeError(f"expected an event such as JobEvent.FAILED, or a class of events such as JobEvent, got {events!r}")
