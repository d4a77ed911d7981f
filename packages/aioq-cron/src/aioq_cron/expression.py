"""A cron expression in a time zone, as a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from aioq.cron import ClockChange
from aioq_cron.days import FieldStepper, day_stepper
from aioq_cron.describe import days_in_words, time_in_words
from aioq_cron.describe_dst import changes_between
from aioq_cron.dst import ZonedStepper
from aioq_cron.parser import parse_fields
from aioq_cron.zones import find_zone, in_utc

__all__ = ["CronExpression"]


class CronExpression:
    """The moments at which a cron expression fires, by the clock of one time zone.

    The dialect is that of Debian's cron: five fields, in minutes; `*`, lists, ranges, steps,
    names of months and days, and the nicknames from `@hourly` to `@annually`. Day of month and
    day of week are alternatives unless one of them starts with `*`. What other dialects add is
    refused by name. A value: equal to another of the same text and zone, and never changed.

    Args:
        expression: For example `"0 9 * * 1-5"`; at most 1,000 characters.
        tz: A zone, or its name, for example `"Europe/Berlin"`; UTC when None.
    Raises:
        InvalidCronExpression: It is not understood, no date ever matches it, or there is no
            such zone.
        TypeError: An argument is of the wrong type.
    """

    __slots__ = ("_fields", "_identity", "_stepper", "_tz")

    def __init__(self, expression: str, tz: str | ZoneInfo | None = None) -> None:
        self._fields = fields = parse_fields(expression)
        self._tz = find_zone(tz)
        self._identity = (" ".join(expression.split()), _identity(self._tz))
        self._stepper = ZonedStepper(FieldStepper(fields, day_stepper(fields)), self._tz, wildcard=fields.wildcard)

    @property
    def expression(self) -> str:
        """The expression as it was written, with single blanks between its fields."""
        return self._identity[0]

    @property
    def tz(self) -> ZoneInfo:
        """The zone whose clock the expression goes by."""
        return self._tz

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment to fire at strictly after `instant`, in UTC.

        None when there is none up to the end of the year 9999.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        start = in_utc(instant)
        try:
            return self._stepper.next_after(start)
        except OverflowError:
            return None

    def occurrences(self, start: datetime) -> Iterator[datetime]:
        """Iterate over the moments to fire at after `start`, in UTC, each later than the last.

        Raises:
            TypeError: `start` is not a datetime.
            ValueError: It is naive.
        """
        return self._walk(in_utc(start))

    def in_words(self) -> str:
        """Return when it fires, as a person would say it: "at 09:00 on Monday to Friday".

        The zone is not among the words.
        """
        time, is_plain = time_in_words(self._fields.minutes, self._fields.hours)
        days = days_in_words(self._fields)
        every_day = "" if is_plain or days.startswith("on ") else "every day"
        return " ".join(word for word in (time, every_day, days) if word)

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the moments in [start, end) at which the clocks of its zone are put forward or
        back, in order, and what becomes of the times that are skipped or come twice.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive.
        """
        return changes_between(self._stepper, in_utc(start), in_utc(end))

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

    def __reduce__(self) -> tuple[type[CronExpression], tuple[str, ZoneInfo]]:
        return CronExpression, (self.expression, self._tz)

    def __str__(self) -> str:
        return self.expression

    def __repr__(self) -> str:
        return f"CronExpression({self.expression!r}, tz={self._tz.key or self._tz!r})"


def _identity(zone: ZoneInfo) -> str | ZoneInfo:
    """The zone's name, unless the zone was read from a file and may differ from those of its name."""
    return zone.key if zone.key and ZoneInfo(zone.key) is zone else zone
