"""Asking schedules: one step, with the answer checked, and the newest of several due ticks."""

from __future__ import annotations

from datetime import UTC, datetime

from aioq.protocols import Schedule

__all__ = ["newest_due", "step"]


def step(schedule: Schedule, instant: datetime) -> datetime | None:
    """Return the schedule's first moment after `instant`, in UTC; None when there is none.

    Raises:
        TypeError: The schedule answered with something other than an aware datetime.
        ValueError: It answered with a moment that is not later. Following it would hang.
    """
    answer = schedule.next_after(instant)
    return None if answer is None else _checked(answer, instant)


def _checked(answer: object, instant: datetime) -> datetime:
    """A schedule may be anybody's code, and need not keep to its annotations."""
    if not isinstance(answer, datetime) or answer.tzinfo is None:
        raise TypeError(f"next_after returned {answer!r} and not an aware datetime")
    moment = answer.astimezone(UTC)
    if moment <= instant:
        raise ValueError(f"next_after({instant.isoformat()}) returned {moment.isoformat()}, which is not later")
    return moment


def newest_due(schedule: Schedule, due: datetime, now: datetime) -> tuple[datetime, datetime | None]:
    """Return the newest tick up to `now`, given one that is `due`, and the tick that follows it.

    Takes a number of steps in proportion to the logarithm of the time that has passed: it
    narrows down the time between a tick known to be due and a moment after which none is.
    """
    newest, bare_from = due, now
    while (following := step(schedule, newest)) is not None and following <= now:
        newest = following
        middle = newest + (bare_from - newest) / 2
        later = step(schedule, middle)
        if later is not None and later <= now:
            newest = later
        else:
            bare_from = middle
    return newest, following
