"""What is where in one queue at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aioq_redis.storage.job_states import ENDED_STATES

__all__ = ["MOST", "Marks", "Part", "Snapshot", "read_snapshot"]

MOST: Final = 1000
"""Ids of each key that are looked at: the server does nothing else meanwhile."""


@dataclass(frozen=True, slots=True)
class Part:
    """Ids of one key, and how many it has."""

    size: int
    ids: tuple[bytes, ...]

    @property
    def whole(self) -> bool:
        """Whether these are all of them."""
        return len(self.ids) == self.size


@dataclass(frozen=True, slots=True)
class Marks:
    """Ids of one key with the first letters of what is stored under them, and how many it has."""

    size: int
    marks: Mapping[bytes, bytes]

    @property
    def whole(self) -> bool:
        """Whether these are all of them."""
        return len(self.marks) == self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One queue. Names of parts are those of its keys."""

    now: float
    """The server's clock, in milliseconds."""
    jobs: Part
    runs: Marks
    failures: Part
    cancelled_ids: Part
    wake: int
    ended: Marks
    due: Part
    leased: Part
    indexes: Mapping[bytes, Part]
    """By the letter that a record of such an end begins with."""
    line: Part
    """All lines, one after the other."""
    absent: Sequence[bytes]
    """Ids of a line, of due and of leased that have no record."""

    @property
    def pending(self) -> int:
        """Jobs in line."""
        return max(self.line.size - self.cancelled_ids.size, 0)


def read_snapshot(reply: Sequence[Any]) -> Snapshot:
    """Return what the script `snapshot` answers."""
    now, jobs, runs, failures, cancelled_ids, wake, ended, due, leased, *indexes, lines, absent = reply
    read = [_part(line) for line in lines]
    return Snapshot(
        now=float(now),
        jobs=_part(jobs),
        runs=_marks(runs),
        failures=_part(failures),
        cancelled_ids=_part(cancelled_ids),
        wake=int(wake[0]),
        ended=_marks(ended),
        due=_part(due),
        leased=_part(leased),
        indexes=dict(zip(ENDED_STATES, map(_part, indexes), strict=True)),
        line=Part(sum(part.size for part in read), tuple(id for part in read for id in part.ids)),
        absent=absent,
    )


def _part(reply: Sequence[Any]) -> Part:
    return Part(int(reply[0]), tuple(reply[1:]))


def _marks(reply: Sequence[Any]) -> Marks:
    return Marks(int(reply[0]), dict(zip(reply[1::2], reply[2::2], strict=True)))
