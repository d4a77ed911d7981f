"""A cron expression in a time zone, as a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone, tzinfo
from zoneinfo import ZoneInfo

from aioq.cron import ClockChange
from aioq.cron.zones import zone_text
from aioq_cron.combinators import Combinable
from aioq_cron.counting import count_ticks
from aioq_cron.describe import in_words
from aioq_cron.describe_dst import changes_between
from aioq_cron.parser import parse_fields
from aioq_cron.stepper import FieldStepper, ZonedCalendar, ZonedSchedule, in_utc
from aioq_cron.zones import find_zone

__all__ = ["CronExpression"]


class CronExpression(ZonedSchedule, Combinable):
    """A cron expression in one time zone, as a schedule.

    The dialect is that of Debian's cron: five fields, in minutes; `*`, lists, ranges, steps,
    names of months and days, and the nicknames from `@hourly` to `@annually`. Day of month and
    day of week are alternatives unless one of them starts with `*`. Besides, the day fields take
    `?`, `L`, `L-3`, `15W`, `LW`, `5L` and `MON#2`, and ranges may go around the end of a field.
    It is an immutable value: equal to another with the same meaning and zone.

    Args:
        expression: For example `"0 9 * * 1-5"`; at most 1,000 characters.
        tz: A zone, or its name, for example `"Europe/Berlin"`; UTC when None.
    Raises:
        InvalidCronExpression: The expression or the zone is not understood, or no date ever
            matches.
        TypeError: An argument is of the wrong type.
    """

    __slots__ = ("_expression", "_fields", "_identity")

    def __init__(self, expression: str, tz: str | tzinfo | None = None) -> None:
        self._fields = fields = parse_fields(expression)
        zone = find_zone(tz)
        super().__init__(ZonedCalendar(FieldStepper(fields), zone, fields.wildcard))
        self._expression = " ".join(expression.split())
        # By meaning: entries with equal expressions share one computation in the loop.
        self._identity = (fields.canonical, _identity(zone))

    @property
    def expression(self) -> str:
        """The expression as it was written, with single blanks between its fields."""
        return self._expression

    @property
    def canonical(self) -> str:
        """The expression in the one form that all texts with its meaning share: "0 0 * * *" for "@daily"."""
        return self._identity[0]

    @property
    def tz(self) -> tzinfo:
        """The zone of the expression."""
        return self.zoned.zone

    def occurrences(self, start: datetime) -> Iterator[datetime]:
        """Iterate over the ticks after `start`, in UTC, in ascending order.

        Raises:
            TypeError: `start` is not a datetime.
            ValueError: It is naive.
        """
        return self._walk(in_utc(start))

    def count(self, start: datetime, end: datetime) -> int:
        """Return the number of ticks in [start, end); computed by days.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive.
        """
        calendar = self.zoned.calendar
        if not isinstance(calendar, FieldStepper):
            return super().count(start, end)
        return count_ticks(calendar, self.tz, (in_utc(start), in_utc(end)), super().count)

    def in_words(self) -> str:
        """Return when it fires, in words: "at 09:00 on Monday to Friday". The zone is not named."""
        return in_words(self._fields)

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes of its zone in [start, end), in order, with their effect on its runs.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive.
        """
        return changes_between(self.zoned, in_utc(start), in_utc(end))

    def _walk(self, instant: datetime) -> Iterator[datetime]:
        while (found := self.next_after(instant)) is not None:
            yield found
            instant = found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CronExpression):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self) -> tuple[type[CronExpression], tuple[str, tzinfo]]:
        # Pickled as text: the steppers hold a lock, which cannot be pickled.
        return CronExpression, (self.expression, self.tz)

    def __str__(self) -> str:
        return self.expression

    def __repr__(self) -> str:
        return f"CronExpression({self.expression!r}, tz={_shown(self.tz)})"


def _identity(zone: tzinfo) -> str | tzinfo:
    """Return the zone's name if it stands for its rules; the zone itself if it may have others.

    One that was read from a file may have other rules than the name says.
    """
    if isinstance(zone, ZoneInfo):
        return zone.key if zone.key and ZoneInfo(zone.key) is zone else zone
    return zone_text(zone) if isinstance(zone, timezone) else zone


def _shown(zone: tzinfo) -> str:
    return repr(getattr(zone, "key", None) or zone)
