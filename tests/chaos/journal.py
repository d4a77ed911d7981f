"""A ledger of job runs outside the broker: each task writes down that it began, and that it came to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["Journal", "Mark"]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a run of a job did. The moment is seconds since 1970 on this machine's true clock."""

    what: str
    """`begin`, `end`, or `raise` for a run that ended with an exception."""
    job_id: str
    attempt: int
    epoch: int
    pid: int
    at: float


class Journal:
    """A file to which any number of processes append, and of which a killed one loses nothing.

    Args:
        path: The file; it comes into being with the first mark.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._decoder = msgspec.json.Decoder(Mark)
        self._marks: list[Mark] = []
        self._offset = 0

    def write(self, what: str, ctx: Mapping[str, Any]) -> None:
        """Write down what the run of this context does, this moment."""
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        mark = Mark(
            what=what,
            job_id=ctx["job_id"],
            attempt=ctx["attempt"],
            epoch=ctx["epoch"],
            pid=os.getpid(),
            at=time.time(),
        )
        os.write(self._file, msgspec.json.encode(mark) + b"\n")  # one write, so that lines never mix

    def read(self) -> list[Mark]:
        """Return all marks so far, in the order in which they were written. Do not change the list."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self._offset += len(whole) + 1
                self._marks += map(self._decoder.decode, whole.split(b"\n"))
        return self._marks
