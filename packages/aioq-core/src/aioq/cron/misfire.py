"""Which of the ticks that have come due are fired, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aioq.cron.entry import CronEntry
from aioq.ticks import TickStatus

__all__ = ["MOST_MADE_UP", "Left", "Verdict", "judge"]

MOST_MADE_UP = 1_000
"""Ticks of one entry that are fired at one time; older ones are missed."""

MOST_COUNTED = 10_000
"""Ticks that are counted one by one; of more it is said that there were at least so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Ticks in a row that are not fired."""

    last: datetime
    count: int
    status: TickStatus
    """`SKIPPED` or `MISSED`."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done about ticks that have come due."""

    fire: tuple[datetime, ...]
    """Oldest first."""
    left: tuple[Left, ...] = ()
    """Oldest first."""


def judge(entry: CronEntry, first: datetime, newest: datetime, now: datetime) -> Verdict:
    """Decide about all ticks of an entry from `first` to `newest`, both of them due at `now`."""
    raise NotImplementedError


def unfired(entry: CronEntry, previous: datetime | None, fired: Sequence[datetime]) -> tuple[Left, ...]:
    """Return what became of the ticks after `previous` and before the first of `fired`.

    The winner of a claim owns them: nobody was up to fire them.
    """
    raise NotImplementedError
