"""Describes what the clock changes of a zone do to an expression."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from aioq.cron import ClockChange
from aioq_cron.describe import shortened
from aioq_cron.dst import Shift, ZonedStepper, shifts_between

__all__ = ["MAX_RUNS", "NOTHING_DUE", "changes_between"]

MAX_RUNS = 10
"""Runs that a `ClockChange` lists at most."""

NOTHING_DUE = "nothing is due in that time"
"""The effect on a schedule that a clock change does not touch."""

_MAX_NAMED_TIMES = 4


def changes_between(stepper: ZonedStepper, start: datetime, end: datetime) -> list[ClockChange]:
    """Return the clock changes of a stepper's zone in [start, end), both in UTC, with their effect on its runs."""
    return [_change(stepper, shift) for shift in shifts_between(stepper.zone, start, end)]


def _change(stepper: ZonedStepper, shift: Shift) -> ClockChange:
    walls = list(stepper.touched_by(shift))
    runs = _runs(stepper, shift, walls)
    return ClockChange(
        at=shift.at,
        kind="gap" if shift.forward else "repeat",
        start=shift.start,
        end=shift.end,
        touches=bool(walls),
        runs=tuple(runs[:MAX_RUNS]),
        effect=_effect(stepper, shift, walls, runs) if walls else NOTHING_DUE,
    )


def _runs(stepper: ZonedStepper, shift: Shift, walls: Sequence[datetime]) -> list[datetime]:
    if shift.forward:
        return [shift.at] if walls and stepper.makes_up_for(shift) else []
    # The same wall times, read with the offset before the shift and with the one after it.
    passes = (shift.before, shift.after) if stepper.fires_in_second_pass(shift) else (shift.before,)
    return [(wall - offset).replace(tzinfo=UTC) for offset in passes for wall in walls]


def _effect(stepper: ZonedStepper, shift: Shift, walls: Sequence[datetime], runs: Sequence[datetime]) -> str:
    times = shortened([_clock(wall, shift) for wall in walls], _MAX_NAMED_TIMES)
    one = len(walls) == 1
    instants = shortened([_instant(run, stepper.zone, shift) for run in runs], _MAX_NAMED_TIMES) if runs else ""
    if not shift.forward:
        passes = "both passes" if stepper.fires_in_second_pass(shift) else "the first pass only"
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
    several_days = shift.start.date() != (shift.end - timedelta(microseconds=1)).date()
    return wall.isoformat(" ", precision) if several_days else wall.time().isoformat(precision)
