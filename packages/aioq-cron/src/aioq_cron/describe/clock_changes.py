"""Finds the clock changes of a zone, and describes what they do to an expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from aioq.cron import ClockChange
from aioq_cron.calendar.stepper import Shift, ZonedCalendar, offset_at, shift_between
from aioq_cron.describe.words import shortened

__all__ = ["MAX_RUNS", "NOTHING_DUE", "changes_between", "shifts_between"]

MAX_RUNS = 10
"""Runs that a `ClockChange` lists at most."""

NOTHING_DUE = "nothing is due in that time"
"""The effect on a schedule that a clock change does not touch."""

_MAX_NAMED_TIMES = 4

_INSTANT = timedelta(microseconds=1)
_STRIDE = timedelta(hours=3)
"""Distance between two offsets that are compared: shorter than any zone keeps an offset."""

_FIRST_IN_ALL_ZONES = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)
_LAST_IN_ALL_ZONES = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""Between these two, every instant has a wall time in every zone."""


def changes_between(zoned: ZonedCalendar, start: datetime, end: datetime) -> list[ClockChange]:
    """Return the clock changes of a calendar's zone in [start, end), both in UTC, with their effect on its runs."""
    return [_change(zoned, shift) for shift in shifts_between(zoned.zone, start, end)]


def shifts_between(zone: tzinfo, start: datetime, end: datetime) -> Iterator[Shift]:
    """Yield the shifts of a zone in [start, end), both in UTC, in order.

    A change of the zone's rules that leaves its offset alone is not a shift.
    """
    for year in range(start.year, end.year + 1):
        yield from (shift for shift in _shifts_of(zone, year) if start <= shift.at < end)


@lru_cache(maxsize=4_096)
def _shifts_of(zone: tzinfo, year: int) -> tuple[Shift, ...]:
    """Return the shifts of one year of UTC. Cached, because thousands of entries share a zone."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    end = start.replace(year=year + 1) if year < MAXYEAR else _LAST_IN_ALL_ZONES
    # From just before the year: a shift in its very first moment belongs to it.
    return tuple(
        _search_shifts(zone, max(start, _FIRST_IN_ALL_ZONES) - _INSTANT, min(end, _LAST_IN_ALL_ZONES) - _INSTANT)
    )


def _search_shifts(zone: tzinfo, moment: datetime, last: datetime) -> Iterator[Shift]:
    before = offset_at(moment, zone)
    while moment < last:
        earlier, moment = moment, min(moment + _STRIDE, last)
        if (after := offset_at(moment, zone)) != before:
            yield shift_between(earlier.replace(microsecond=0), moment, (before, after), zone)
            before = after


def _change(zoned: ZonedCalendar, shift: Shift) -> ClockChange:
    walls = list(zoned.touched_by(shift))
    runs = _runs(zoned, shift, walls)
    return ClockChange(
        at=shift.at,
        kind="gap" if shift.forward else "repeat",
        start=shift.start,
        end=shift.end,
        touches=bool(walls),
        runs=tuple(runs[:MAX_RUNS]),
        effect=_effect(zoned, shift, walls, runs) if walls else NOTHING_DUE,
    )


def _runs(zoned: ZonedCalendar, shift: Shift, walls: Sequence[datetime]) -> list[datetime]:
    if shift.forward:
        return [shift.at] if walls and zoned.makes_up_for(shift) else []
    # The same wall times, read with the offset before the shift and with the one after it.
    passes = (shift.before, shift.after) if zoned.fires_in_second_pass(shift) else (shift.before,)
    return [(wall - offset).replace(tzinfo=UTC) for offset in passes for wall in walls]


def _effect(zoned: ZonedCalendar, shift: Shift, walls: Sequence[datetime], runs: Sequence[datetime]) -> str:
    times = shortened([_clock(wall, shift) for wall in walls], _MAX_NAMED_TIMES)
    one = len(walls) == 1
    instants = shortened([_instant(run, zoned.zone, shift) for run in runs], _MAX_NAMED_TIMES) if runs else ""
    if not shift.forward:
        passes = "both passes" if zoned.fires_in_second_pass(shift) else "the first pass only"
        return f"{times} {'comes' if one else 'come'} twice: fires in {passes}, at {instants}"
    missing = f"{times} {'does' if one else 'do'} not exist"
    if runs:
        return f"{missing}: fires once at {instants} instead"
    reason = "" if shift.is_daylight_saving else ", as this is not daylight saving"
    return f"{missing}: nothing fires instead{reason}"


def _instant(run: datetime, zone: tzinfo, shift: Shift) -> str:
    local = run.astimezone(zone)
    # With the offset, which alone tells the two passes of a repeated time apart.
    return _clock(local.replace(tzinfo=None), shift) + local.isoformat("_", "minutes")[len("2026-01-01_00:00") :]


def _clock(wall: datetime, shift: Shift) -> str:
    """Return a wall time; with its date if the shift spans several days, with seconds if it has any."""
    precision = "seconds" if wall.second else "minutes"
    # The end is exclusive: a gap that ends at midnight lies within one day.
    several_days = shift.start.date() != (shift.end - _INSTANT).date()
    return wall.isoformat(" ", precision) if several_days else wall.time().isoformat(precision)
