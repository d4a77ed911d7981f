"""Walking the ticks of a schedule: one step, a few, or many at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aioq.cron.schedule import Schedule

__all__ = ["INSTANT", "Row", "around", "before", "latest", "step", "walk"]

INSTANT = timedelta(microseconds=1)
"""The least that two moments differ by."""


class Row(NamedTuple):
    """Ticks in a row, from the first to the last."""

    first: datetime
    last: datetime


def step(schedule: Schedule, instant: datetime) -> datetime | None:
    """Return the first moment of a schedule after `instant`, in UTC; None when there is none.

    Raises:
        TypeError: The schedule answered with something other than an aware datetime.
        ValueError: It answered with a moment that is not later. Following it would hang.
    """
    answer = schedule.next_after(instant)
    return None if answer is None else _checked(answer, instant)


def _checked(answer: object, instant: datetime) -> datetime:
    """A schedule may be anybody's code, and need not keep to its annotations."""
    if not isinstance(answer, datetime) or answer.utcoffset() is None:
        raise TypeError(f"next_after returned {answer!r} and not an aware datetime")
    moment = answer.astimezone(UTC)
    if moment <= instant:
        raise ValueError(f"next_after({instant.isoformat()}) returned {moment.isoformat()}, which is not later")
    return moment


def walk(schedule: Schedule, row: Row) -> Iterator[datetime]:
    """Yield every tick of a row."""
    tick: datetime | None = row.first
    while tick is not None and tick <= row.last:
        yield tick
        tick = step(schedule, tick)


def latest(schedule: Schedule, tick: datetime, until: datetime) -> datetime:
    """Return the latest tick up to `until`, given one of the ticks up to it."""
    return around(schedule, tick, until)[0]


def around(schedule: Schedule, tick: datetime, until: datetime) -> tuple[datetime, datetime | None]:
    """Return the latest tick up to `until`, given one of the ticks up to it, and the tick that follows.

    Takes a number of steps in proportion to the logarithm of the time between: it narrows
    down the time between a known tick and a moment after which there is none.
    """
    bare_from = until
    while (following := step(schedule, tick)) is not None and following <= until:
        tick = following
        middle = tick + (bare_from - tick) / 2
        later = step(schedule, middle)
        if later is not None and later <= until:
            tick = later
        else:
            bare_from = middle
    return tick, following


def before(schedule: Schedule, row: Row) -> Row | None:
    """Return a row without its last tick; None when it was the only one."""
    if row.first == row.last:
        return None
    return Row(row.first, latest(schedule, row.first, row.last - INSTANT))
