"""Finds what an expression says and its author hardly means: each lint says what happens, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from aioq.cron.zones import zone_text
from aioq_cron.calendar.day_rules import RULE
from aioq_cron.calendar.fields import DAY, WEEKDAY, CronFields, Field
from aioq_cron.calendar.stepper import Shift, ZonedCalendar
from aioq_cron.describe.clock_changes import shifts_between
from aioq_cron.describe.words import in_words
from aioq_cron.expression.dialects import Dialect
from aioq_cron.expression.field_parser import ITEM
from aioq_cron.expression.hashed import HASHED
from aioq_cron.expression.parser import split_fields

__all__ = ["Linter"]

_AHEAD: Final = timedelta(days=366)
_INSTANT: Final = timedelta(microseconds=1)
_CYCLES: Final = {
    "second": ("minute", "write @every {0}s"),
    "minute": ("hour", "write @every {0}m"),
    "hour": ("day", "write @every {0}h"),
    DAY.name: ("month", "use EveryDays({0}, ...)"),
    "month": ("year", "name the months"),
    WEEKDAY.name: ("week", "name the days"),
}
"""The cycle of each field, and how to say an interval that does not divide it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linter:
    """The text and the meaning of one expression."""

    text: str
    dialect: Dialect
    fields: CronFields
    zoned: ZonedCalendar

    def lints(self, now: datetime) -> list[str]:
        """Return what is odd, in sentences; about clock changes within a year of `now`."""
        any_day = DAY.size == len(self.fields.days) or WEEKDAY.size == len(self.fields.weekdays)
        # Most expressions have no step and no range, and need not be split again.
        if any_day and not {"/", "-"} & set(self.text):
            return [*self._gaps(now)]
        own, parts = split_fields(self.text, self.dialect)
        return [*self._steps(own, parts), *self._days(parts[DAY.name], parts[WEEKDAY.name]), *self._gaps(now)]

    def _steps(self, own: Mapping[str, Field], parts: Mapping[str, str]) -> Iterator[str]:
        for name, part in parts.items():
            if "/" not in part and "-" not in part:
                continue
            items = part.split(",")
            for item in items:
                # L-3 is a rule, and no range.
                other = HASHED.fullmatch(item) or RULE.fullmatch(item)
                found = None if other else ITEM.fullmatch(f"*{item}" if item[0] == "/" else item)
                # The star in "*/100,1-7 * MON" is there for its effect on the other field of the day.
                idiom = name == DAY.name and item.startswith("*") and len(items) > 1
                if found and not idiom and name in _CYCLES and (text := self._odd_item(own[name], found)):
                    yield f"{item!r} in the {name} field {text}"

    def _odd_item(self, field: Field, item: re.Match[str]) -> str | None:
        """Return what is odd about a range or a step."""
        first, last, step = item["first"], item["last"], int(item["step"] or 1)
        lowest = (self.dialect.star_weekdays or (field.low,))[0] if field is WEEKDAY else field.low
        low = lowest if first == "*" else field.number(first)
        if last is not None and field.number(last) == low:
            return f"is {low} alone; write {low}"
        values = range(low, (lowest + field.size - 1 if last is None else field.number(last)) + 1, step)
        if step == 1 or not values:
            return None
        if len(values) == 1:
            return f"has a step that does nothing: it is {low} alone; write {low}"
        rest = low + field.size - values[-1]
        # From a later value on, as in 8/2, the end of the cycle is meant.
        if last is not None or low - lowest >= step or rest == step:
            return None
        cycle, instead = _CYCLES[field.name]
        return (
            f"does not divide the {cycle}: {low} follows {values[-1]} after {rest} and not after {step}; for equal "
            f"intervals {instead.format(step)}"
        )

    def _days(self, days: str, weekdays: str) -> Iterator[str]:
        if self.dialect.days not in ("vixie", "either"):
            return
        either = self.fields.either_day
        any_day = len(self.fields.days) == DAY.size or len(self.fields.weekdays) == WEEKDAY.size
        # In a list, the star is there for this very effect.
        if {"*", "?"} & {days, weekdays} or (not either and (any_day or "," in days)):
            return
        words = in_words(self.fields)
        if either:
            yield f"fires on days of either field of the day: {words}; for days of both, join two expressions with &"
        else:
            yield f"fires on days of both fields of the day: {words}; for days of either, join two expressions with |"

    def _gaps(self, now: datetime) -> Iterator[str]:
        for shift in _gaps_within(self.zoned.zone, now.date()):
            if text := self._in_gap(shift):
                yield text
                return

    def _in_gap(self, shift: Shift) -> str | None:
        """Return what a gap does to an expression whose time of day is in it."""
        first, last = shift.start, shift.end - _INSTANT
        # Most expressions have no hour of the gap.
        if first.date() == last.date() and not any(first.hour <= hour <= last.hour for hour in self.fields.hours):
            return None
        wall = next(self.zoned.touched_by(shift), None)
        if wall is None:
            return None
        zone, day = zone_text(self.zoned.zone), f"{wall:%Y-%m-%d}"
        gap = f"{_clock(shift.start)} to {_clock(shift.end)}"
        if self.zoned.makes_up_for(shift):
            return (
                f"{_clock(wall)} does not exist in {zone} on {day}, when the clock goes from {gap}: "
                f"fires at {_clock(shift.end)} then; choose a time outside of the gap, or tz='UTC'"
            )
        midnight = datetime.combine(wall.date(), time())
        before = self.zoned.calendar.next_after(midnight - _INSTANT)
        after = self.zoned.calendar.next_after(shift.end - _INSTANT)
        if before is None or before < shift.start or (after is not None and after.date() == wall.date()):
            return None
        return (
            f"does not fire at all in {zone} on {day}, when the clock goes from {gap}, because a minute or an hour "
            "with a * in front follows the clock; write values, such as 0-59/15 for */15, to fire after the gap"
        )


def _clock(wall: datetime) -> str:
    return f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"


@lru_cache(maxsize=1_024)
def _gaps_within(zone: tzinfo, day: date) -> tuple[Shift, ...]:
    """Return the gaps of daylight saving within a year of a day. Cached, because thousands of entries share a zone."""
    start = datetime.combine(day, time(), UTC)
    shifts = shifts_between(zone, start, start + _AHEAD)
    return tuple(shift for shift in shifts if shift.forward and shift.is_daylight_saving)
