"""Recognizes enqueue calls that are repeated after their caller was cancelled."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.clock import Clock
from aioq.model.job import JobKey, NewJob

__all__ = ["UnacknowledgedJobs"]

MINUTE = 60.0


class UnacknowledgedJobs:
    """Jobs that this broker stored within the last minute and whose caller has no answer yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[JobKey, tuple[NewJob, float]] = {}

    def __contains__(self, job: NewJob) -> bool:
        known, at = self._stored.get(job.key, (None, 0.0))
        if known is None or (known.task, known.payload) != (job.task, job.payload):
            return False
        return self._clock.monotonic() < at + MINUTE

    def add(self, jobs: Sequence[NewJob], is_new: Sequence[bool]) -> None:
        """Record the jobs that are new."""
        now = self._clock.monotonic()
        self._stored = {key: (job, at) for key, (job, at) in self._stored.items() if now < at + MINUTE}
        self._stored.update((job.key, (job, now)) for job, new in zip(jobs, is_new, strict=True) if new)

    def discard(self, jobs: Sequence[NewJob]) -> None:
        """Forget jobs whose caller has the answer."""
        for job in jobs:
            self._stored.pop(job.key, None)
