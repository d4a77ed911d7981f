"""The amount of work that a fleet has while a fault happens."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "SMALL", "Load", "load_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A number of jobs that sleep, and the options of the worker. Durations are in seconds."""

    jobs: int
    nap: float
    """How long each job sleeps."""
    concurrency: int
    lease: float

    @property
    def seconds(self) -> float:
        """Return the seconds that one worker needs for all jobs."""
        return self.jobs * self.nap / self.concurrency

    def arguments(self, *further: str) -> list[str]:
        """Return the arguments of Python that start a worker."""
        size = ["--lease", f"{self.lease:g}", "--concurrency", str(self.concurrency)]
        return ["-m", "aioq", "worker", "tests.chaos.apps.jobs:app", *size, *further]


FULL = Load(jobs=1000, nap=0.2, concurrency=10, lease=3)
SMALL = Load(jobs=100, nap=0.1, concurrency=10, lease=1)


def load_of(full: bool) -> Load:
    """Return the usual load of the full or the quick suite."""
    return FULL if full else SMALL
