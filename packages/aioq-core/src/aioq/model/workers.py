"""Defines what a worker reports about itself to the broker: its place, its slots, and what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from aioq.model.tasks import TaskInfo

__all__ = ["MAX_RUNS", "RunInfo", "WorkerInfo", "first_runs", "weighted_names"]

MAX_RUNS: Final = 64
"""Runs that a worker reports. With the longest ids and names they take 30 KB."""


class RunInfo(Struct, frozen=True, kw_only=True):
    """A job that a worker runs."""

    job_id: str
    queue: str
    task: str
    attempt: int
    since: float
    """When its task was called, in seconds since 1970 on the worker's clock."""
    stuck: bool = False
    """Whether it goes on although it was interrupted at least 5 seconds ago; its job may run elsewhere by now."""


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """What a worker reports about itself."""

    id: str
    queues: tuple[str, ...]
    concurrency: int
    running: int
    hostname: str
    pid: int
    started_at: float
    app: str = ""
    """The name of its app."""
    all_queues: bool = False
    """Whether it consumes all queues of its app, whichever these are."""
    weights: tuple[int, ...] = ()
    """The weights of `queues`, in the same order; () if they go in order of preference."""
    tasks: tuple[TaskInfo, ...] = ()
    """Its tasks, by name; `aioq tasks diff` compares them with the code."""
    tasks_left_out: int = 0
    """How many tasks are not in `tasks`, because the description would be too long."""
    stuck: int = 0
    """Slots whose tasks go on although they were interrupted at least 5 seconds ago."""
    runs: tuple[RunInfo, ...] = ()
    """The jobs that it runs, the oldest first; of more than `MAX_RUNS` the oldest."""
    memory: int | None = None
    """Bytes of memory that its process occupies; None if the system does not tell."""
    loop_lag: float | None = None
    """Longest time in seconds for which its event loop did not answer since the report before; None if not measured."""
    version: str = ""
    """The release of aioq-core that it runs on."""


def first_runs(runs: Iterable[RunInfo]) -> tuple[RunInfo, ...]:
    """Return the runs that a worker reports: the oldest, at most `MAX_RUNS`."""
    return tuple(sorted(runs, key=lambda run: run.since)[:MAX_RUNS])


def weighted_names(queues: Sequence[str], weights: Sequence[int]) -> list[str]:
    """Return the queues of a worker, each with its weight if they have any: `critical=6`."""
    return [f"{queue}={weight}" for queue, weight in zip(queues, weights, strict=False)] if weights else list(queues)
