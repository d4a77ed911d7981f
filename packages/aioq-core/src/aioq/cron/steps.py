"""Walks the ticks of a schedule: one step, a range, or a search over years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aioq.cron.schedule import Schedule

__all__ = ["INSTANT", "TickRange", "around", "latest", "step", "walk"]

INSTANT = timedelta(microseconds=1)
"""The smallest difference between two moments."""


class TickRange(NamedTuple):
    """All ticks of a schedule from `first` to `last`, both of them ticks."""

    first: datetime
    last: datetime


def step(schedule: Schedule, instant: datetime) -> datetime | None:
    """Return the first moment of a schedule after `instant`, in UTC; None if there is none.

    Raises:
        TypeError: The schedule returned something other than an aware datetime.
        ValueError: It returned a moment that is not later. Following it would never end.
    """
    answer = schedule.next_after(instant)
    return None if answer is None else _checked(answer, instant)


def _checked(answer: object, instant: datetime) -> datetime:
    """Return the answer of a schedule as a moment. Applications write schedules, so nothing is taken for granted."""
    if not isinstance(answer, datetime) or (answer.tzinfo is not UTC and answer.utcoffset() is None):
        raise TypeError(f"next_after returned {answer!r} and not an aware datetime")
    moment = answer if answer.tzinfo is UTC else answer.astimezone(UTC)
    if moment <= instant:
        raise ValueError(f"next_after({instant.isoformat()}) returned {moment.isoformat()}, which is not later")
    return moment


def walk(schedule: Schedule, ticks: TickRange) -> Iterator[datetime]:
    """Yield every tick of a range."""
    tick: datetime | None = ticks.first
    while tick is not None and tick <= ticks.last:
        yield tick
        tick = step(schedule, tick)


def latest(schedule: Schedule, tick: datetime, until: datetime) -> datetime:
    """Return the latest tick up to `until`, given any tick up to it."""
    return around(schedule, tick, until)[0]


def around(schedule: Schedule, tick: datetime, until: datetime) -> tuple[datetime, datetime | None]:
    """Return the latest tick up to `until` and the tick that follows it, given any tick up to `until`.

    The number of steps grows with the logarithm of the time between: each turn halves the time
    between a known tick and a moment after which there is no tick up to `until`.
    """
    no_tick_after = until
    while (following := step(schedule, tick)) is not None and following <= until:
        tick = following
        middle = tick + (no_tick_after - tick) / 2
        later = step(schedule, middle)
        if later is not None and later <= until:
            tick = later
        else:
            no_tick_after = middle
    return tick, following
