"""A log of job runs outside the broker: tasks append an event when they begin and when they end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["JobEvent", "JobLog"]


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a job's run."""

    kind: str
    """`begin`, `end`, or `raise` if the run ended with an exception."""
    job_id: str
    attempt: int
    epoch: int
    pid: int
    at: float
    """Seconds since 1970 on the correct clock of this machine."""


class JobLog:
    """A file to which several processes append; a killed process loses no event.

    Args:
        path: The file; the first event creates it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._decoder = msgspec.json.Decoder(JobEvent)
        self._events: list[JobEvent] = []
        self._offset = 0

    def write(self, kind: str, ctx: Mapping[str, Any]) -> None:
        """Append an event of the run that has this context, at the current time."""
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        event = JobEvent(
            kind=kind,
            job_id=ctx["job_id"],
            attempt=ctx["attempt"],
            epoch=ctx["epoch"],
            pid=os.getpid(),
            at=time.time(),
        )
        os.write(self._file, msgspec.json.encode(event) + b"\n")  # one write, so that lines never mix

    def read(self) -> list[JobEvent]:
        """Return all events so far, in the order of the file. Do not change the list."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                complete, _, _ = file.read().rpartition(b"\n")
            if complete:
                self._offset += len(complete) + 1
                self._events += map(self._decoder.decode, complete.split(b"\n"))
        return self._events
