"""Every zone around its changes, and expressions with seconds across them, compared with the model of Debian's cron."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from random import Random
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from aioq_cron import CronExpression
from tests.cron import debian
from tests.cron.calendar.month_model import Matches, is_last, is_number, weekday
from tests.cron.reference.model import Case

THOROUGH = int(os.environ.get("AIOQ_CRON_EXAMPLES", "0"))
"""If it is set: all years of all zones instead of a few, and as many expressions with seconds."""
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
YEARS = range(1970, 2038) if THOROUGH else range(2007, 2027, 10)
SECOND = timedelta(seconds=1)
EVERY_SECOND = {"*": range(60), "*/17": range(0, 60, 17), "0": [0], "59": [59], "20-40/10": [20, 30, 40]}
MINUTES = {"*": range(60), "*/30": [0, 30], "0": [0], "15,45": [15, 45], "59": [59], "58-1": [58, 59, 0, 1]}
HOURS = {
    "*": range(24),
    "*/2": range(0, 24, 2),
    "0": [0],
    "0-4": range(5),
    "2": [2],
    "1-3/2": [1, 3],
    "23-1": [23, 0, 1],
}
DAYS: dict[str, Matches] = {
    "* * *": lambda day: True,
    "? * ?": lambda day: True,
    "*/2 * 1-5": lambda day: day.day % 2 == 1 and 1 <= weekday(day) <= 5,
    "1-7 * SUN": lambda day: any(is_number(number)(day) for number in range(1, 8)) or weekday(day) == 0,
    "L,25-30 * *": lambda day: is_last(0)(day) or 25 <= day.day <= 30,
}


def draw(random: Random, options: dict[str, Any]) -> Case:
    """Draw an expression that is often due near clock changes."""
    minute, hour, days = random.choice([*MINUTES]), random.choice([*HOURS]), random.choice([*DAYS])
    second = random.choice([*EVERY_SECOND]) if options else "0"
    return Case(
        f"{second} {minute} {hour} {days}" if options else f"{minute} {hour} {days}",
        options,
        frozenset(EVERY_SECOND[second]),
        frozenset(MINUTES[minute]),
        frozenset(HOURS[hour]),
        frozenset(range(1, 13)),
        frozenset(),
        DAYS[days],
        "*" in (minute[0], hour[0]),
    )


def changes(zones: list[str]) -> Iterator[tuple[str, datetime]]:
    """Yield zones with their clock changes, but only one of several zones that have the same."""
    seen = set[tuple[datetime, ...]]()
    for name in zones:
        shifts = tuple(shift for year in YEARS for shift in debian.shifts(ZoneInfo(name), year))
        if shifts not in seen:
            seen.add(shifts)
            yield from ((name, shift) for shift in shifts)


def assert_runs(case: Case, name: str, span: tuple[datetime, datetime, datetime], step: timedelta) -> None:
    """Compare the ticks from the second to the third moment of a span with those of the model, which starts earlier."""
    start, first, last = span
    schedule = CronExpression(case.text, name, **case.options)
    found = list(takewhile(lambda tick: tick <= last, schedule.occurrences(first)))
    expected = [run for run in debian.runs(case, ZoneInfo(name), start, last, step=step) if run > first]
    assert found == expected, f"{case.text!r} in {name} from {first}"
    assert schedule.count(first + SECOND / 2, last + SECOND / 2) == len(expected)
    for tick in expected[:3]:
        assert schedule.matches(tick)
        assert schedule.previous_before(tick + SECOND / 2) == tick


@pytest.mark.parametrize("part", range(2))
@pytest.mark.timeout(60 + 10 * THOROUGH)
def test_every_zone_around_its_changes_matches_debian(part: int) -> None:
    """In every zone of the database, around every change of its offset, an expression fires as in Debian's cron."""
    random = Random(part)
    for name, shift in changes(ZONES[part::2] if THOROUGH else random.sample(ZONES, 20)):
        hours = [shift + timedelta(hours=hour) for hour in (-9, -2, 4)]
        assert_runs(draw(random, {}), name, (hours[0], hours[1], hours[2]), debian.MINUTE)


@pytest.mark.timeout(60 + THOROUGH)
def test_seconds_around_clock_changes_match_debian() -> None:
    """With seconds the same rules hold: a gap is made up for at its end, and a repeated hour fires once or twice."""
    random, found = Random(1), 0
    while found < max(8, THOROUGH):
        name, year, case = random.choice(ZONES), random.randint(1975, 2037), draw(random, {"seconds": "first"})
        for shift in debian.shifts(ZoneInfo(name), year):
            span = (shift - timedelta(hours=1), shift - timedelta(minutes=30), shift + timedelta(hours=3, minutes=20))
            assert_runs(case, name, span, SECOND)
            found += 1
