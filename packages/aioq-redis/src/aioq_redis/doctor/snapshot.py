"""Reads the ids in all keys of a queue at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aioq_redis.storage.job_states import ENDED_STATES

__all__ = ["MAX_IDS", "PartialHash", "PartialKey", "Snapshot", "read_snapshot"]

MAX_IDS: Final = 1000
"""Ids that the script reads of each key. The server runs nothing else meanwhile."""


@dataclass(frozen=True, slots=True)
class PartialKey:
    """The first ids of one key, and its size."""

    size: int
    ids: tuple[bytes, ...]

    @property
    def is_complete(self) -> bool:
        """Whether these are all ids of the key."""
        return len(self.ids) == self.size


@dataclass(frozen=True, slots=True)
class PartialHash:
    """The first ids of one hash with the first letters of their values, and its size."""

    size: int
    prefixes: Mapping[bytes, bytes]

    @property
    def is_complete(self) -> bool:
        """Whether these are all ids of the key."""
        return len(self.prefixes) == self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The keys of one queue; the fields have the names of the keys."""

    now: float
    """The server's clock, in milliseconds."""
    jobs: PartialKey
    runs: PartialHash
    attempts: PartialKey
    cancelled_ids: PartialKey
    wake: int
    ended: PartialHash
    due: PartialKey
    leased: PartialKey
    indexes: Mapping[bytes, PartialKey]
    """The indexes of ended jobs, by the letter of their final state."""
    listed: Sequence[int]
    """How many failures each key of the list has, and the sum of their groups."""
    ready: PartialKey
    """All ready lists and the list of suspects."""
    absent: Sequence[bytes]
    """Ids in ready lists, `due` and `leased` that have no record."""

    @property
    def pending(self) -> int:
        """How many jobs are ready. Cancelled ids do not count."""
        return max(self.ready.size - self.cancelled_ids.size, 0)


def read_snapshot(reply: Sequence[Any]) -> Snapshot:
    """Read the reply of `lua/doctor/snapshot.lua`."""
    now, jobs, runs, attempts, cancelled_ids, wake, ended, due, leased, *indexes, listed, ready, absent = reply
    lists = [_partial_key(part) for part in ready]
    return Snapshot(
        now=float(now),
        jobs=_partial_key(jobs),
        runs=_partial_hash(runs),
        attempts=_partial_key(attempts),
        cancelled_ids=_partial_key(cancelled_ids),
        wake=int(wake[0]),
        ended=_partial_hash(ended),
        due=_partial_key(due),
        leased=_partial_key(leased),
        indexes=dict(zip(ENDED_STATES, map(_partial_key, indexes), strict=True)),
        listed=listed,
        ready=PartialKey(sum(part.size for part in lists), tuple(id for part in lists for id in part.ids)),
        absent=absent,
    )


def _partial_key(reply: Sequence[Any]) -> PartialKey:
    return PartialKey(int(reply[0]), tuple(reply[1:]))


def _partial_hash(reply: Sequence[Any]) -> PartialHash:
    return PartialHash(int(reply[0]), dict(zip(reply[1::2], reply[2::2], strict=True)))
