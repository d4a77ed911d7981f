"""Counts how often each enqueued job ran, from the events that its runs logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.job_log import JobEvent

__all__ = ["JobFigures", "count_jobs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFigures:
    """The figures of a group of jobs."""

    jobs: int
    """Jobs whose enqueue returned."""
    lost: int
    """Jobs of these without a run that ended."""
    twice: int
    """Jobs with more than one run that ended."""
    begun_again: int
    """Jobs with more than one run that began, ended or not."""
    stray: int
    """Jobs that ran and whose enqueue did not return."""
    attempts: int
    """The highest attempt number."""
    last_end: float
    """When the last of the jobs ended for the first time, in seconds since 1970; 0 if none ended."""


def count_jobs(ids: Sequence[str], events: Iterable[JobEvent]) -> JobFigures:
    """Compare the events of runs with the ids of the enqueued jobs."""
    enqueued = set(ids)
    events = list(events)
    begun = Counter(event.job_id for event in events if event.kind == "begin")
    ends = [event for event in events if event.kind == "end"]
    ended = Counter(event.job_id for event in ends)
    first_ends: dict[str, float] = {}
    for event in ends:
        first_ends.setdefault(event.job_id, event.at)
    return JobFigures(
        jobs=len(enqueued),
        lost=len(enqueued - ended.keys()),
        twice=sum(times > 1 for times in ended.values()),
        begun_again=sum(times > 1 for times in begun.values()),
        stray=len(begun.keys() - enqueued),
        attempts=max((event.attempt for event in events), default=0),
        last_end=max((at for job_id, at in first_ends.items() if job_id in enqueued), default=0.0),
    )
