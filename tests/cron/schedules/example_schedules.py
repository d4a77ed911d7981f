"""Schedules, dates and helpers for the tests of Union and Except."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from aioq.cron import upcoming
from aioq.cron.schedule import Schedule
from aioq_cron import CronExpression, Every
from tests.cron.debian import fields
from tests.times import naive, shown, utc

BERLIN = "Europe/Berlin"
WORKDAYS = CronExpression("0 9 * * 1-5", BERLIN)
SATURDAYS = CronExpression("0 12 * * 6", BERLIN)
NOON_IN_TOKYO = CronExpression("0 12 * * *", "Asia/Tokyo")
HOURLY = Every(timedelta(hours=1))
CHRISTMAS = {date(2026, 12, 24), date(2026, 12, 25)}
SCHEDULES = st.one_of(
    st.builds(Every, st.integers(600, 200_000).map(lambda seconds: timedelta(seconds=seconds))),
    st.builds(
        lambda minute, hour, days: CronExpression(f"{minute.text} {hour.text} {days}", BERLIN),
        fields(0, 59),
        fields(0, 23),
        st.sampled_from(["* * *", "*/2 * *", "* * 1-5"]),
    ),
)
STARTS = st.datetimes(naive("2020-01-01"), naive("2030-01-01"), timezones=st.just(UTC))


def first(schedule: Schedule, count: int, start: str, zone: str = "UTC") -> list[str]:
    """Return the first ticks after a moment, as local times of a zone."""
    return [text[:16] for text in shown(upcoming(schedule, utc(start), count), zone)]


def walk(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """Return all ticks after `start` and up to `end`."""
    return upcoming(schedule, start, sys.maxsize, until=end)


class Growing(dict[date, str]):
    """A dict that grows when it is asked, as those of the package holidays do."""

    def __init__(self, subdiv: str) -> None:
        super().__init__()
        self.subdiv = subdiv
        self._asked = "often"

    def __contains__(self, day: object) -> bool:
        """Add and accept a Sunday."""
        if isinstance(day, date) and day.isoweekday() == 7:
            self[day] = "Sunday"
        return super().__contains__(day)

    __hash__ = None


class Sundays:
    """All Sundays: a container that cannot be listed."""

    def __contains__(self, day: object) -> bool:
        """Return whether a plain date is a Sunday."""
        assert type(day) is date
        return day.isoweekday() == 7
