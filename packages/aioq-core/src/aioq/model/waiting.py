"""Decides what a job that waits is waiting for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from aioq.model.job import JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq.model.stops import Stop
from aioq.model.workers import WorkerInfo

__all__ = ["Condition", "ConditionKind", "conditions_of"]


class ConditionKind(StrEnum):
    """What must be true before a job runs."""

    TIME = "time"
    """It is due."""
    PAUSE = "pause"
    """Nobody has paused its queue."""
    STOP = "stop"
    """Nobody has stopped its task."""
    WORKER = "worker"
    """A worker that is up consumes its queue."""
    TASK = "task"
    """One of these workers knows its task."""
    SLOT = "slot"
    """One of these has a free slot."""


class Condition(Struct, frozen=True, kw_only=True):
    """Something that must be true before a job runs."""

    kind: ConditionKind
    met: bool | None
    """None if it is not known."""
    text: str
    """One sentence for a person."""
    until: float | None = None
    """When the condition will be met, if that is known."""


def conditions_of(
    record: JobRecord, *, now: float, stops: Sequence[Stop] | None, workers: Sequence[WorkerInfo] | None
) -> list[Condition]:
    """Return what must be true before a job runs, first what is not; nothing for one that runs or has ended.

    Args:
        record: The job.
        now: The broker's clock.
        stops: The orders that are in force, of any queue; None if the broker knows none.
        workers: The workers that are up, of any queue; None if the broker keeps no list.
    """
    if record.state in FINAL_STATES or record.state is JobState.RUNNING:
        return []
    conditions = [_of_time(record, now), *_of_stops(record, stops or ())]
    if workers is not None:
        conditions += _of_workers(record, [worker for worker in workers if record.queue in worker.queues])
    # What is not known comes after what is known to be unmet.
    return sorted(conditions, key=lambda condition: (condition.met is True, condition.met is None))


def _of_time(record: JobRecord, now: float) -> Condition:
    if record.run_at is None or record.run_at <= now:
        return Condition(kind=ConditionKind.TIME, met=True, text="It is due.")
    what = "the pause before its retry is over" if record.state is JobState.RETRYING else "its time has come"
    return Condition(kind=ConditionKind.TIME, met=False, text=f"It waits until {what}.", until=record.run_at)


def _of_stops(record: JobRecord, stops: Sequence[Stop]) -> Iterator[Condition]:
    for stop in stops:
        if stop.queue != record.queue or stop.task not in (None, record.task):
            continue
        kind = ConditionKind.PAUSE if stop.task is None else ConditionKind.STOP
        what = f"Queue {stop.queue} is paused" if stop.task is None else f"The task {stop.task} is stopped"
        note = f": “{stop.note}”" if stop.note else ""
        yield Condition(kind=kind, met=False, text=f"{what} by {stop.by}{note}.")


def _of_workers(record: JobRecord, workers: Sequence[WorkerInfo]) -> Iterator[Condition]:
    if not workers:
        text = f"No worker that is up consumes queue {record.queue}."
        yield Condition(kind=ConditionKind.WORKER, met=False, text=text)
        return
    count = len(workers)
    text = f"{count:,} {'worker consumes' if count == 1 else 'workers consume'} queue {record.queue}."
    yield Condition(kind=ConditionKind.WORKER, met=True, text=text)
    able = [worker for worker in workers if any(task.name == record.task for task in worker.tasks)]
    if able:
        yield Condition(kind=ConditionKind.TASK, met=True, text="A worker of the queue knows its task.")
    else:
        # A report names some of the tasks only, if there are many.
        known = None if any(worker.tasks_left_out for worker in workers) else False
        text = f"No worker of the queue says that it knows the task {record.task}."
        yield Condition(kind=ConditionKind.TASK, met=known, text=text)
    free = sum(max(0, worker.concurrency - worker.running) for worker in able or workers)
    text = f"{free:,} {'slot is' if free == 1 else 'slots are'} free."
    yield Condition(kind=ConditionKind.SLOT, met=free > 0, text=text)
