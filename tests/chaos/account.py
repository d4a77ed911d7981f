"""What became of the jobs that were enqueued, counted from what their runs wrote down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.journal import Mark

__all__ = ["Account", "reckon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The figures of one lot of jobs."""

    jobs: int
    """Whose enqueue returned."""
    lost: int
    """Of those, never run to the end."""
    twice: int
    """Run to the end more than once."""
    begun_again: int
    """Begun more than once, whether the first run came to its end or not."""
    stray: int
    """Runs of jobs that nobody enqueued."""
    attempts: int
    """The highest number of an attempt."""
    last_end: float
    """When the last of them came to its end for the first time; 0 when none did."""


def reckon(ids: Sequence[str], marks: Iterable[Mark]) -> Account:
    """Hold the marks of runs against the ids of the jobs that were enqueued."""
    asked, marks = set(ids), list(marks)
    begun = Counter(mark.job_id for mark in marks if mark.what == "begin")
    ends = [mark for mark in marks if mark.what == "end"]
    ended = Counter(mark.job_id for mark in ends)
    firsts: dict[str, float] = {}
    for mark in ends:
        firsts.setdefault(mark.job_id, mark.at)
    return Account(
        jobs=len(asked),
        lost=len(asked - ended.keys()),
        twice=sum(times > 1 for times in ended.values()),
        begun_again=sum(times > 1 for times in begun.values()),
        stray=len(begun.keys() - asked),
        attempts=max((mark.attempt for mark in marks), default=0),
        last_end=max((at for job_id, at in firsts.items() if job_id in asked), default=0.0),
    )
