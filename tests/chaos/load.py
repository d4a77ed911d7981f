"""How much a fleet has to do while something happens to it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "SMALL", "Load", "load_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Jobs that sleep, and the worker that they are for. Durations are in seconds."""

    jobs: int
    nap: float
    concurrency: int
    lease: float

    @property
    def seconds(self) -> float:
        """That one worker needs for all of it."""
        return self.jobs * self.nap / self.concurrency

    def arguments(self, *further: str) -> list[str]:
        """Return the arguments of Python for a worker."""
        size = ["--lease", f"{self.lease:g}", "--concurrency", str(self.concurrency)]
        return ["-m", "aioq", "worker", "tests.chaos.apps.jobs:app", *size, *further]


FULL = Load(jobs=1000, nap=0.2, concurrency=10, lease=3)
SMALL = Load(jobs=100, nap=0.1, concurrency=10, lease=1)


def load_of(full: bool) -> Load:
    """Return what is usual for a size of the suite."""
    return FULL if full else SMALL
