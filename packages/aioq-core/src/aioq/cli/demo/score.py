"""What happened while the demo ran, and whether that is what it promised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Score"]

ROUNDING = 1e-5
"""Seconds that a moment may be off because datetimes hold microseconds."""


@dataclass(slots=True)
class Score:
    """Counts of what was seen. Durations are in seconds."""

    jobs: int
    """Jobs that were enqueued."""
    retries: int
    """Attempts that fail on purpose."""
    due: int = 0
    """Cron runs that the clock called for."""
    ticks: dict[datetime, list[float]] = field(default_factory=dict[datetime, list[float]])
    """How late each run of the cron was, by the moment it was planned for."""
    completed: int = 0
    failed_attempts: int = 0
    delayed: list[float] = field(default_factory=list[float])
    """How long after its time each delayed job started."""

    def lines(self) -> list[tuple[str, str]]:
        """Return the summary: what, and how it went."""
        late = [seconds for runs in self.ticks.values() for seconds in runs]
        return [
            ("cron runs", f"{len(late)} of {self.due} that were due{_lateness(late)}"),
            ("jobs completed", f"{self.completed} of {self.jobs}"),
            ("retried", f"{self.failed_attempts} attempts that failed on purpose, each a second later"),
            ("delayed", f"{len(self.delayed)} job{_lateness(self.delayed)}"),
        ]

    def faults(self) -> Iterator[str]:
        """Yield what did not go as promised."""
        late = [seconds for runs in self.ticks.values() for seconds in runs]
        if len(self.ticks) != self.due:
            yield f"{self.due} cron runs were due and {len(self.ticks)} came"
        if len(late) != len(self.ticks):
            yield "a cron run came twice"
        if min([0.0, *late, *self.delayed]) < -ROUNDING:
            yield "something ran before its time"
        if self.completed != self.jobs:
            yield f"{self.jobs - self.completed} jobs did not complete"
        if self.failed_attempts != self.retries:
            yield f"{self.failed_attempts} attempts failed, not {self.retries}"
        if len(self.delayed) != 1:
            yield f"the delayed job ran {len(self.delayed)} times"


def _lateness(seconds: list[float]) -> str:
    return f", at most {max(seconds) * 1000:.1f} ms late" if seconds else ""
