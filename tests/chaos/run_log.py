"""A log of ticks' runs outside the broker: functions append a line when they are called."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Run", "RunLog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call for a tick. Times are seconds since 1970 on the correct clock of this machine."""

    entry: str
    tick: float
    at: float
    """When the function was called."""
    worker: str
    pid: int
    job_id: str = ""
    """The job of the tick; empty for a cron, which has no job."""
    attempt: int = 1
    enqueued_at: float | None = None

    @property
    def late(self) -> float:
        """Return the seconds from the tick to its firing: a job has fired when it is enqueued."""
        return (self.at if self.enqueued_at is None else self.enqueued_at) - self.tick


class RunLog:
    """A file to which several processes append; a killed process loses no run.

    Args:
        path: The file; the first run creates it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, ctx: Mapping[str, Any]) -> None:
        """Append the run that has this context, at the current time."""
        at = time.time()
        enqueued_at = ctx.get("enqueued_at")
        facts = {
            "entry": ctx["cron_name"],
            "tick": ctx["scheduled_at"].timestamp(),
            "at": at,
            "worker": ctx["worker_id"],
            "pid": os.getpid(),
            "job_id": ctx.get("job_id", ""),
            "attempt": ctx.get("attempt", 1),
            "enqueued_at": enqueued_at.timestamp() if enqueued_at else None,
        }
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, json.dumps(facts).encode() + b"\n")  # one write, so that lines never mix
        finally:
            os.close(file)

    def read(self) -> list[Run]:
        """Return all runs so far, in the order of the file."""
        if not self._path.exists():
            return []
        return [Run(**json.loads(line)) for line in self._path.read_text().splitlines()]
