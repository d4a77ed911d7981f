"""A cron expression in a time zone, as a schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone, tzinfo
from zoneinfo import ZoneInfo

from aioq.cron import ClockChange
from aioq.cron.zones import zone_text
from aioq_cron.calendar.stepper import FieldStepper, SecondStepper, ZonedCalendar, ZonedSchedule, calendar_of, in_utc
from aioq_cron.describe.clock_changes import changes_between
from aioq_cron.describe.words import in_words
from aioq_cron.errors import InvalidCronExpression
from aioq_cron.expression.canonical import canonical_text
from aioq_cron.expression.counting import count_ticks
from aioq_cron.expression.dialects import CRON, DialectName, ReadingOptions, Seconds, dialect_of, options_of
from aioq_cron.expression.lint import Linter
from aioq_cron.expression.parser import has_hash, parse_fields
from aioq_cron.schedules.combinators import Combinable
from aioq_cron.zones import find_zone

__all__ = ["CronExpression"]


class CronExpression(ZonedSchedule, Combinable):
    """A cron expression in one time zone, as a schedule.

    The dialect is that of Debian's cron: five fields, in minutes; `*`, lists, ranges, steps,
    names of months and days, and the nicknames from `@hourly` to `@annually`. Day of month and
    day of week are alternatives unless one of them starts with `*`. Besides, the day fields take
    `?`, `L`, `L-3`, `15W`, `LW`, `5L` and `MON#2`, ranges may go around the end of a field, and
    `H`, `H/15` and `H(0-29)` are values that a name chooses.
    It is an immutable value: equal to another with the same meaning and zone.

    Args:
        expression: For example `"0 9 * * 1-5"`; at most 1,000 characters.
        tz: A zone, or its name, for example `"Europe/Berlin"`; UTC when None.
        seconds: `first` or `last`: the place of a sixth field, which has the seconds.
        dialect: `quartz`, `aws`, `croniter`, `jenkins` or `spring`: read the text as this system
            does.
        name: What the values of `H` are chosen by: the same in every process and release. An app
            gives the name of the entry. Without it an expression with `H` has no ticks to ask for.
    Raises:
        InvalidCronExpression: The expression or the zone is not understood, or no date ever
            matches.
        TypeError: An argument is of the wrong type.
        ValueError: `seconds` or `dialect` is unknown, or both are given.
    """

    __slots__ = ("_dialect", "_expression", "_fields", "_identity", "_name")

    def __init__(
        self,
        expression: str,
        tz: str | tzinfo | None = None,
        *,
        seconds: Seconds | None = None,
        dialect: DialectName | None = None,
        name: str | None = None,
    ) -> None:
        self._dialect = chosen = dialect_of(seconds, dialect)
        self._fields = fields = parse_fields(expression, chosen, name)
        zone = find_zone(tz)
        self._expression = " ".join(expression.split())
        hashed = has_hash(self._expression, chosen)
        self._name = name if hashed else None
        calendar = _Unnamed(self._expression) if hashed and name is None else calendar_of(fields)
        super().__init__(ZonedCalendar(calendar, zone, fields.wildcard))
        # By meaning: entries with equal expressions share one computation in the loop.
        text = str(self).upper() if isinstance(calendar, _Unnamed) else canonical_text(fields)
        self._identity = (text, _identity(zone))

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

    @property
    def seconds(self) -> Seconds | None:
        """The place of the field of the seconds, as it was given."""
        return options_of(self._dialect).get("seconds")

    @property
    def dialect(self) -> DialectName | None:
        """The name of the dialect, as it was given."""
        return options_of(self._dialect).get("dialect")

    @property
    def name(self) -> str | None:
        """The name that chooses the values of `H`; None if there is no `H`, or no name yet."""
        return self._name

    def named(self, name: str) -> CronExpression:
        """Return the expression whose `H` is chosen by `name`; itself if it has none, or has a name."""
        if self._name is not None or not isinstance(self.zoned.calendar, _Unnamed):
            return self
        return CronExpression(self._expression, self.tz, **options_of(self._dialect), name=name)

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
        if not isinstance(calendar, FieldStepper | SecondStepper):
            return super().count(start, end)
        return count_ticks(calendar, self.tz, (in_utc(start), in_utc(end)), super().count)

    def in_words(self) -> str:
        """Return when it fires, in words: "at 09:00 on Monday to Friday". The zone is not named."""
        self._check_named()
        return in_words(self._fields)

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes of its zone in [start, end), in order, with their effect on its runs.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive.
        """
        self._check_named()
        return changes_between(self.zoned, in_utc(start), in_utc(end))

    def lints(self, now: datetime) -> list[str]:
        """Return what the expression says and its author hardly means, in sentences; empty for most.

        Steps that do not divide their cycle, or do nothing; both fields of the day; and times that a clock change
        within a year of `now` skips. An app shows them as `aioq.CronWarning`.

        Raises:
            TypeError: `now` is not a datetime.
            ValueError: It is naive.
        """
        moment = in_utc(now)
        if isinstance(self.zoned.calendar, _Unnamed):
            return []
        linter = Linter(text=self._expression, dialect=self._dialect, fields=self._fields, zoned=self.zoned)
        return linter.lints(moment)

    def _check_named(self) -> None:
        if isinstance(self.zoned.calendar, _Unnamed):
            raise self.zoned.calendar.error()

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

    def __reduce__(self) -> tuple[Callable[..., CronExpression], tuple[str, tzinfo, ReadingOptions, str | None]]:
        # Pickled as text: the steppers hold a lock, which cannot be pickled.
        return _restored, (self.expression, self.tz, options_of(self._dialect), self._name)

    def __str__(self) -> str:
        dialect = "" if self._dialect is CRON else self._dialect.name
        chosen = "" if self._name is None else self.canonical
        notes = ": ".join(note for note in (dialect, chosen) if note)
        return f"{self._expression} ({notes})" if notes else self._expression

    def __repr__(self) -> str:
        options = options_of(self._dialect) | ({} if self._name is None else {"name": self._name})
        shown = "".join(f", {option}={value!r}" for option, value in options.items())
        return f"CronExpression({self.expression!r}, tz={_shown(self.tz)}{shown})"


class _Unnamed:
    """The calendar of an expression with `H` until a name has chosen its values."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def next_after(self, wall: datetime) -> datetime | None:
        raise self.error()

    def error(self) -> InvalidCronExpression:
        return InvalidCronExpression(
            f'"{self._expression}" has an H, and no name to choose its value by: @app.cron and app.schedule give it '
            "the name of their entry; elsewhere pass name=, or --name on the command line",
            expression=self._expression,
        )


def _restored(expression: str, tz: tzinfo, options: ReadingOptions, name: str | None) -> CronExpression:
    return CronExpression(expression, tz, **options, name=name)


def _identity(zone: tzinfo) -> str | tzinfo:
    """Return the zone's name if it stands for its rules; the zone itself if it may have others.

    One that was read from a file may have other rules than the name says.
    """
    if isinstance(zone, ZoneInfo):
        return zone.key if zone.key and ZoneInfo(zone.key) is zone else zone
    return zone_text(zone) if isinstance(zone, timezone) else zone


def _shown(zone: tzinfo) -> str:
    return repr(getattr(zone, "key", None) or zone)
