"""What was stored for callers that did not wait for the answer."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.clock import Clock
from aioq.model.job import NewJob

__all__ = ["Unheard"]

MINUTE = 60.0


class Unheard:
    """The jobs that this broker has stored within a minute, and of which no caller knows yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[str, tuple[NewJob, float]] = {}

    def __contains__(self, job: NewJob) -> bool:
        known, at = self._stored.get(job.id, (None, 0.0))
        return known == job and self._clock.monotonic() < at + MINUTE

    def add(self, jobs: Sequence[NewJob], news: Sequence[bool]) -> None:
        """Note those of the jobs that are new."""
        now = self._clock.monotonic()
        self._stored = {id: (job, at) for id, (job, at) in self._stored.items() if now < at + MINUTE}
        self._stored.update((job.id, (job, now)) for job, new in zip(jobs, news, strict=True) if new)

    def discard(self, jobs: Sequence[NewJob]) -> None:
        """Forget jobs whose caller has heard."""
        for job in jobs:
            self._stored.pop(job.id, None)
