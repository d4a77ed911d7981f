"""A schedule that fires at a plain interval."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aioq.cron import ClockChange
from aioq_cron.calendar.stepper import in_utc
from aioq_cron.describe.words import joined
from aioq_cron.errors import InvalidCronExpression
from aioq_cron.schedules.combinators import Combinable

__all__ = ["Every", "parse_every"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST = timedelta(seconds=1)
_LONGEST = timedelta(days=3_653)
_DURATION = re.compile(r"@every[ \t]+((?:\d{1,9}(?:\.\d{1,6})?(?:d|h|ms|m|s))+)", re.ASCII | re.IGNORECASE)
_PART = re.compile(r"([\d.]+)(d|h|ms|m|s)")
_OF_TEXT = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


@dataclass(frozen=True, slots=True)
class Every(Combinable):
    """Fires once per `interval`, independent of the calendar and of clock changes.

    Ticks are whole intervals after `start`, which is the first tick, or else after the beginning
    of 1970 in UTC. So all workers agree on the ticks, and a restart does not move them.

    Args:
        interval: From 1 second, because a scheduler looks at its clock once a second, to
            10 years. Exact to the microsecond.
        start: The first tick.
    Raises:
        TypeError: `interval` is not a timedelta, or `start` is not a datetime.
        ValueError: `interval` is out of bounds, or `start` is naive.
    """

    interval: timedelta
    start: datetime | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check(self.interval)
        if self.start is not None:
            object.__setattr__(self, "start", in_utc(self.start))

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after `instant`, in UTC.

        None if there is no tick up to the end of the year 9999.

        Raises:
            TypeError: `instant` is not a datetime.
            ValueError: It is naive.
        """
        moment, first = in_utc(instant), self.start or _EPOCH
        if moment < first:
            return first
        try:
            # Whole microseconds, without floats: a sum of rounded intervals would drift over the years.
            return first + ((moment - first) // self.interval + 1) * self.interval
        except OverflowError:
            return None

    def count(self, start: datetime, end: datetime) -> int:
        """Return the number of ticks in [start, end); computed.

        Raises:
            TypeError: `start` or `end` is not a datetime.
            ValueError: It is naive.
        """
        first, last = (self._ticks_before(in_utc(moment)) for moment in (start, end))
        return max(0, last - first)

    def _ticks_before(self, moment: datetime) -> int:
        # Rounded up: a tick at the moment itself is not before it.
        return max(0, -(((self.start or _EPOCH) - moment) // self.interval))

    @property
    def canonical(self) -> str:
        """The interval in days, hours, minutes and seconds, with its start."""
        return str(self)

    def in_words(self) -> str:
        """Return the interval in words, with its start: "every 1 minute and 30 seconds"."""
        since = "" if self.start is None else f", from {self.start:%Y-%m-%d %H:%M:%S} UTC on"
        return f"every {_in_words(self.interval)}{since}"

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return an empty list: clock changes do not affect an interval."""
        return []

    def __str__(self) -> str:
        since = "" if self.start is None else f" from {self.start.isoformat()}"
        return f"every {_in_short(self.interval)}{since}"


def parse_every(text: str) -> Every:
    """Return the interval that a text such as "@every 1h30m" stands for; d, h, m, s and ms are its units.

    Raises:
        InvalidCronExpression: It names no interval, or one that is out of bounds.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InvalidCronExpression(
            f"'{text[:60]}' has no interval; write numbers with d, h, m or s, as in @every 1h30m", expression=text
        )
    parts = [(float(number), _OF_TEXT[unit]) for number, unit in _PART.findall(found[1].lower())]
    try:
        return Every(sum((timedelta(**{unit: number}) for number, unit in parts), timedelta()))
    except (OverflowError, ValueError) as error:
        problem = f"'{text[:60]}': an interval is from 1 second to 10 years"
        raise InvalidCronExpression(problem, expression=text) from error


def _check(interval: object) -> None:
    if not isinstance(interval, timedelta):
        raise TypeError(f"interval is a timedelta such as timedelta(minutes=5), got {interval!r}")
    if not _SHORTEST <= interval <= _LONGEST:
        raise ValueError(f"interval must be from 1 second to 10 years, got {interval!r}")


def _in_short(interval: timedelta) -> str:
    return "".join(f"{count}{unit[0]}" for count, unit in _parts(interval))


def _in_words(interval: timedelta) -> str:
    parts = [(count, unit if count == "1" else f"{unit}s") for count, unit in _parts(interval)]
    if len(parts) == 1 and parts[0][0] == "1":
        return parts[0][1]
    return joined([f"{count} {unit}" for count, unit in parts])


def _parts(interval: timedelta) -> Iterator[tuple[str, str]]:
    """Yield the number of each unit that the interval has, the largest unit first."""
    for unit, length in _UNITS:
        count, interval = divmod(interval, length)
        if count:
            yield str(count), unit
    if interval:
        yield f"{interval.seconds}.{interval.microseconds:06}".rstrip("0").rstrip("."), "second"
