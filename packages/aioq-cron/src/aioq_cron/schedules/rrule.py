"""Adapts recurrence rules of dateutil, which are those of calendars (RFC 5545), to schedules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from importlib import import_module
from threading import Lock
from typing import Protocol, cast

from aioq_cron.schedules.intervals import CalendarSchedule

__all__ = ["Rrule"]

_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_FREQUENCY = re.compile(r"FREQ=(\w*)", re.IGNORECASE)
_NO_INTERVAL = re.compile(r"INTERVAL=(?!0*[1-9][0-9]*(?:[;\s]|$))[^;\s]*", re.IGNORECASE)
_ZONED = re.compile(r"TZID|DTSTART", re.IGNORECASE)
_UNTIL_IN_UTC = re.compile(r"UNTIL=\w*Z", re.IGNORECASE)
_TICK = timedelta(microseconds=1)


class Rrule(CalendarSchedule):
    """Fires by a recurrence rule of RFC 5545, on the clock of a zone. Needs the package python-dateutil.

    A clock change does not move the times: the rules of `EveryDays` hold.

    Args:
        rule: For example `"FREQ=MONTHLY;BYDAY=2TU;BYHOUR=9;BYMINUTE=0"`, or several lines with RRULE, EXDATE and
            RDATE. The frequency is yearly, monthly, weekly or daily, with several hours if need be.
        start: The wall time from which the rule counts, naive; it fires then if it is one of the rule's.
        tz: A zone, or its name; UTC when None.
    Raises:
        InvalidCronExpression: There is no such zone.
        ModuleNotFoundError: python-dateutil is not installed.
        TypeError: `rule` or `start` is of the wrong type.
        ValueError: The rule is not understood, has another frequency, names a zone, or never fires.
    """

    __slots__ = ()

    def __init__(self, rule: str, *, start: datetime, tz: str | tzinfo | None = None) -> None:
        _check(rule, start)
        text = " ".join(rule.upper().split())
        calendar = _RuleCalendar(rule, start)
        if calendar.next_after(max(start, datetime.min + _TICK) - _TICK) is None:
            raise ValueError(f"the rule {text} never fires from {start} on")
        since = start.isoformat(" ", "seconds")
        super().__init__(calendar, tz, text=f"{text} from {since}", words=f"by the rule {text}, from {since} on")


class _Rule(Protocol):
    """The part of the rules of dateutil that is used here."""

    def __iter__(self) -> Iterator[datetime]: ...


class _RuleCalendar:
    """Steps through the moments of a rule. Goes on from the latest one, as a rule can only be walked from its start."""

    def __init__(self, text: str, start: datetime) -> None:
        self._text = text
        self._start = start
        self._rule = _parsed(text, start)
        self._lock = Lock()
        self._walk: Iterator[datetime] = iter(())
        self._earlier = self._latest = datetime.max

    def next_after(self, wall: datetime) -> datetime | None:
        """Return the first moment of the rule strictly after `wall`, both naive; None if there is none."""
        with self._lock:
            if wall < self._earlier:
                self._walk = iter(self._rule)
                self._earlier = self._latest = datetime.min
            while self._latest <= wall:
                following = next(self._walk, None)
                if following is None:
                    self._earlier = datetime.max  # the next call begins anew
                    return None
                self._earlier = self._latest
                self._latest = following
            return self._latest

    def __reduce__(self) -> tuple[type[_RuleCalendar], tuple[str, datetime]]:
        return _RuleCalendar, (self._text, self._start)


def _check(rule: object, start: object) -> None:
    if not isinstance(rule, str):
        raise TypeError(f"rule is a text such as 'FREQ=DAILY;INTERVAL=2', got {rule!r}")
    if not isinstance(start, datetime) or start.tzinfo is not None:
        raise TypeError(f"start is a naive datetime, on the clock of tz, got {start!r}")
    if _ZONED.search(rule):
        raise ValueError("the rule has a start or a zone of its own; leave out its DTSTART, and write start= and tz=")
    if _UNTIL_IN_UTC.search(rule):
        raise ValueError("the UNTIL of the rule is in UTC; write it on the clock of tz, without the Z")
    for frequency in _FREQUENCY.findall(rule):
        if frequency.upper() not in _FREQUENCIES:
            raise ValueError(f"FREQ={frequency} is too frequent for Rrule; use CronExpression, or Every")
    # With an interval of 0 dateutil searches for ever.
    if wrong := _NO_INTERVAL.search(rule):
        raise ValueError(f"{wrong[0]} is no interval; write a whole number from 1 on")


def _parsed(text: str, start: datetime) -> _Rule:
    try:
        rrulestr = import_module("dateutil.rrule").rrulestr
    except ModuleNotFoundError as error:
        message = "Rrule needs the package python-dateutil; run: pip install 'aioq-cron[rrule]'"
        raise ModuleNotFoundError(message, name=error.name) from None
    try:
        return cast("_Rule", rrulestr(text, dtstart=start))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{text[:100]!r} is not a rule of RFC 5545: {error}") from error
