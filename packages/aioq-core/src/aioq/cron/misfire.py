"""Which of the ticks that have come due are fired, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from aioq.cron.entry import CronEntry
from aioq.cron.jitter import due
from aioq.cron.options import Misfire
from aioq.cron.steps import INSTANT, Row, before, latest, step, walk
from aioq.model.cron import TickReason, TickStatus

__all__ = ["MOST_COUNTED", "MOST_MADE_UP", "Left", "Verdict", "cut", "judge", "unfired"]

MOST_MADE_UP = 1_000
"""Ticks of one entry that are fired at one time; older ones are missed. `TickReason.TOO_MANY` names the number."""

MOST_COUNTED = 1_000
"""Ticks that are counted one by one, in some 15 ms in which nothing else runs; of more it is said
that there were at least so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Ticks in a row that are not fired."""

    last: datetime
    count: int
    """At least so many, when it is `MOST_COUNTED`."""
    status: TickStatus
    """`SKIPPED` or `MISSED`."""
    reason: TickReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done about ticks that have come due."""

    fire: tuple[datetime, ...]
    """Oldest first."""
    left: tuple[Left, ...] = ()
    """Oldest first."""


def judge(entry: CronEntry, first: datetime, newest: datetime, now: datetime) -> Verdict:
    """Decide about all ticks of an entry from `first` to `newest`, both of them due at `now`.

    A tick is as late as `now` is past the tick and its jitter. The newest that is not later
    than `grace` is in time, and needs no `catchup` to be fired.
    """
    old, young = cut(entry, Row(first, newest), _oldest_due(entry, newest, now))
    left = _left(entry, old, TickStatus.MISSED, TickReason.TOO_OLD)
    if young is None:
        return Verdict(fire=(), left=left)
    verdict = _POLICIES[entry.options.misfire](entry, young, now)
    return Verdict(fire=verdict.fire, left=left + verdict.left)


def unfired(entry: CronEntry, previous: datetime | None, fired: Sequence[datetime]) -> tuple[Left, ...]:
    """Return what became of the ticks after `previous` and before the first of `fired`.

    The winner of a claim owns them: nobody was up to fire them.
    """
    if previous is None or not fired:
        return ()
    first = step(entry.schedule, previous)
    if first is None or first >= fired[0]:
        return ()
    row = Row(first, latest(entry.schedule, first, fired[0] - INSTANT))
    return _left(entry, row, TickStatus.MISSED, TickReason.NO_WORKER)


def _oldest_due(entry: CronEntry, newest: datetime, now: datetime) -> datetime | None:
    """Return the moment since which a tick must have been due to be made up for; None for any."""
    if entry.options.catchup is None:
        return None
    limit = now - timedelta(seconds=entry.options.catchup)
    latest_due = due(entry, newest)
    in_time = latest_due >= now - timedelta(seconds=entry.options.grace)
    return min(limit, latest_due) if in_time else limit


def _fire_newest(entry: CronEntry, row: Row, _: datetime) -> Verdict:
    others = before(entry.schedule, row)
    return Verdict(fire=(row.last,), left=_left(entry, others, TickStatus.SKIPPED, TickReason.COALESCED))


def _fire_in_time(entry: CronEntry, row: Row, now: datetime) -> Verdict:
    late, in_time = cut(entry, row, now - timedelta(seconds=entry.options.grace))
    left = _left(entry, late, TickStatus.SKIPPED, TickReason.TOO_LATE)
    if in_time is None:
        return Verdict(fire=(), left=left)
    verdict = _fire_newest(entry, in_time, now)
    return Verdict(fire=verdict.fire, left=left + verdict.left)


def _fire_all(entry: CronEntry, row: Row, _: datetime) -> Verdict:
    ticks = _newest_of(entry, row)
    others = before(entry.schedule, Row(row.first, ticks[0]))
    return Verdict(fire=tuple(ticks), left=_left(entry, others, TickStatus.MISSED, TickReason.TOO_MANY))


_POLICIES: dict[Misfire, Callable[[CronEntry, Row, datetime], Verdict]] = {
    "once": _fire_newest,
    "skip": _fire_in_time,
    "all": _fire_all,
}


def _newest_of(entry: CronEntry, row: Row) -> list[datetime]:
    """Return the newest ticks of a row, as many as are made up for."""
    ticks = _up_to_twice_enough(entry, row)
    if ticks[-1] == row.last:
        return ticks[-MOST_MADE_UP:]
    many, few = row  # moments: since the one there are too many ticks to list, since the other not enough
    while True:
        middle = many + (few - many) / 2
        ticks = _up_to_twice_enough(entry, Row(step(entry.schedule, middle) or row.last, row.last))
        if ticks[-1] < row.last:
            many = middle
        elif len(ticks) < MOST_MADE_UP:
            few = middle
        else:
            return ticks[-MOST_MADE_UP:]


def _up_to_twice_enough(entry: CronEntry, row: Row) -> list[datetime]:
    return list(islice(walk(entry.schedule, row), 2 * MOST_MADE_UP))


def cut(entry: CronEntry, row: Row, moment: datetime | None) -> tuple[Row | None, Row | None]:
    """Divide a row into the ticks that were due before a moment, and those due since."""
    if moment is None or due(entry, row.first) >= moment:
        return None, row
    if due(entry, row.last) < moment:
        return row, None
    tick = latest(entry.schedule, row.first, moment)
    if due(entry, tick) >= moment:  # the jitter of the one before cannot take it so far
        tick = latest(entry.schedule, row.first, tick - INSTANT)
    return Row(row.first, tick), Row(step(entry.schedule, tick) or row.last, row.last)


def _left(entry: CronEntry, row: Row | None, status: TickStatus, reason: TickReason) -> tuple[Left, ...]:
    if row is None:
        return ()
    count = sum(1 for _ in islice(walk(entry.schedule, row), MOST_COUNTED))
    return (Left(last=row.last, count=count, status=status, reason=reason),)
