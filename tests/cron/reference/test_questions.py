"""Every kind of schedule answers all questions as its `next_after` does, above all around clock changes."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

import aioq_cron
from aioq.cron.schedule import Schedule
from aioq_cron import (
    BusinessDays,
    CronExpression,
    Every,
    EveryDays,
    EveryMonths,
    EveryWeeks,
    Except,
    Intersection,
    Rrule,
    Union,
)
from tests.cron import debian

ROUNDS = max(2, int(os.environ.get("AIOQ_CRON_EXAMPLES", "0")) // 10)
"""Spans of time for each schedule."""
TICK = timedelta.resolution
ZONES = ("Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "UTC")
TIMES = (time(0), time(2, 30), "23:45")
BUSY = CronExpression("*/17 * * * * *", "Europe/Berlin", seconds="first")
NIGHTLY = CronExpression("30 2 * * *", "Europe/Berlin")


Calendar = EveryDays | EveryWeeks | EveryMonths | BusinessDays | Rrule
AnySchedule = CronExpression | Every | Calendar | Union | Intersection | Except


def schedules(zone: str) -> list[AnySchedule]:
    """Return at least one schedule of every kind and syntax."""
    hourly = CronExpression("0 * * * *", zone)
    return [
        hourly,
        CronExpression("0 0 2 ? * MON-FRI 2008-2018", zone, dialect="quartz"),
        CronExpression("*/7 30 1-3 * * *", zone, seconds="first"),
        CronExpression("30 2 * * * */40", zone, dialect="croniter"),
        CronExpression("H/20 H(0-4) * * *", zone, name="entry"),
        CronExpression("0 0 L,15W * FRI#2", zone),
        Every(timedelta(minutes=37), start=datetime(2011, 1, 1, tzinfo=UTC)),
        EveryDays(3, at=TIMES, tz=zone, start=date(2007, 1, 1)),
        EveryWeeks(2, on=("SAT", "SUN"), at=TIMES, tz=zone),
        EveryMonths(1, at=TIMES, tz=zone, start=date(2000, 1, 31)),
        BusinessDays(at=TIMES, tz=zone, holidays={date(2018, 11, 5)}),
        Rrule("FREQ=DAILY;INTERVAL=2", start=datetime(2006, 1, 1, 2, 30), tz=zone),
        BUSY | NIGHTLY,
        hourly & CronExpression("0 */3 * * *", zone),
        hourly - CronExpression("0 2-4 * * *", zone),
        hourly - {date(2018, 2, 18), date(2026, 3, 29)},
        (EveryDays(1, at="02:30", tz=zone) | Every(timedelta(hours=5))) - NIGHTLY,
    ]


def test_every_kind_of_schedule_is_here() -> None:
    """A new schedule of the package needs an example in this file."""
    kinds = [getattr(aioq_cron, name) for name in aioq_cron.__all__]
    examples = {type(schedule) for schedule in schedules("UTC")}
    assert {kind for kind in kinds if isinstance(kind, type) and hasattr(kind, "next_after")} == examples


def walked(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """Return the ticks in (start, end) that `next_after` finds."""
    ticks = list[datetime]()
    while (tick := schedule.next_after(ticks[-1] if ticks else start)) is not None and tick < end:
        ticks.append(tick)
    return ticks


def probes(random: Random, ticks: list[datetime], span: tuple[datetime, datetime]) -> list[datetime]:
    """Return instants in a span: some ticks, those right beside them, and any others."""
    some = random.sample(ticks, min(len(ticks), 4))
    others = [span[0] + (span[1] - span[0]) * random.random() for _ in range(4)]
    return sorted([*others, *(tick + beside for tick in some for beside in (-TICK, timedelta(0), TICK))])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_questions_agree_with_next_after(zone: str) -> None:
    """All answers follow from `next_after`: before, at, between and after its ticks, and their number."""
    random = Random(zone)
    shifts = [shift for year in (2010, 2011, 2018) for shift in debian.shifts(ZoneInfo(zone), year)]
    for schedule in schedules(zone):
        for _ in range(ROUNDS):
            middle = random.choice(shifts or [datetime(2018, 5, 5, tzinfo=UTC)])
            span = middle - timedelta(hours=random.randint(1, 40)), middle + timedelta(hours=random.randint(1, 40))
            ticks = walked(schedule, span[0], span[1])
            instants = probes(random, ticks, span)
            for instant in instants:
                assert schedule.matches(instant) == (instant in ticks), (schedule, instant)
                before = schedule.previous_before(instant)
                if before is not None:
                    assert before < instant
                    assert schedule.matches(before), (schedule, before)
                    assert (schedule.next_after(before) or instant) >= instant, (schedule, instant)
                assert (before is None or before <= span[0]) == (not [tick for tick in ticks if tick < instant])
            start, end = sorted(random.sample(instants, 2))
            within = [tick for tick in ticks if start <= tick < end]
            assert list(schedule.between(start, end)) == within, (schedule, start, end)
            assert schedule.count(start, end) == len(within), (schedule, start, end)
