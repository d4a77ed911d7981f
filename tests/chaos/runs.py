"""A ledger of runs outside the broker: what tasks wrote down themselves, the moment they were called."""

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
    """One call of a task. Moments are seconds since 1970 on this machine's true clock."""

    entry: str
    tick: float
    at: float
    """When the function was called."""
    worker: str
    pid: int
    job_id: str = ""
    """Of a job; empty for a cron, which has none."""
    attempt: int = 1
    enqueued_at: float | None = None

    @property
    def late(self) -> float:
        """Seconds from the tick to its firing: for a job, to its being in line."""
        return (self.at if self.enqueued_at is None else self.enqueued_at) - self.tick


class RunLog:
    """A file to which any number of processes append, and of which a killed one loses nothing.

    Args:
        path: The file; it comes into being with the first run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, ctx: Mapping[str, Any]) -> None:
        """Write down a run that has just begun, by its context."""
        at, enqueued_at = time.time(), ctx.get("enqueued_at")
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
        line = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(line, json.dumps(facts).encode() + b"\n")  # one write, so that lines never mix
        finally:
            os.close(line)

    def read(self) -> list[Run]:
        """Return all runs so far, in the order in which they were written."""
        if not self._path.exists():
            return []
        return [Run(**json.loads(line)) for line in self._path.read_text().splitlines()]
