"""`in_words()`: descriptions of schedules in English."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aioq.cron.schedule import ExplainedSchedule
from aioq_cron import CronExpression, Every, InvalidCronExpression, Union
from tests.cron.debian import CRONTABS, Crontab, Part, fields
from tests.cron.describe.description_reader import read
from tests.times import utc


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        # Times of day.
        ("* * * * *", "every minute"),
        ("*/1 * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0,30 * * * *", "every 30 minutes"),
        ("*/7 * * * *", "at minutes 0 to 56 in steps of 7 past every hour"),
        ("1-50/7 * * * *", "at minutes 1, 8, 15, 22, 29, 36, 43 and 50 past every hour"),
        ("5/10 * * * *", "at minutes 5, 15, 25, 35, 45 and 55 past every hour"),
        ("0-4,30 * * * *", "at minutes 0 to 4 and 30 past every hour"),
        ("0 * * * *", "every hour"),
        ("15 * * * *", "at minute 15 past every hour"),
        ("0 */2 * * *", "every 2 hours"),
        ("30 */2 * * *", "every 2 hours from 00:30 to 22:30 every day"),
        ("0 */5 * * *", "every 5 hours from 00:00 to 20:00 every day"),
        ("30 2 * * *", "at 02:30 every day"),
        ("0 8,12,18 * * *", "at 08:00, 12:00 and 18:00 every day"),
        ("0,30 9,17 * * *", "at 09:00, 09:30, 17:00 and 17:30 every day"),
        ("0 9-17 * * *", "every hour from 09:00 to 17:00 every day"),
        ("45 8-20/3 * * *", "every 3 hours from 08:45 to 20:45 every day"),
        ("*/10 9-17 * * *", "every 10 minutes from 09:00 to 17:50 every day"),
        ("* 3 * * *", "every minute from 03:00 to 03:59 every day"),
        ("*/20 1,5-7 * * *", "every 20 minutes of the hours 1 and 5 to 7 every day"),
        ("1,2,4,8 3 * * *", "at 03:01, 03:02, 03:04 and 03:08 every day"),
        ("1-7 3 * * *", "at minutes 1 to 7 past the hour 3 every day"),
        ("7,9 1-3,5 * * *", "at minutes 7 and 9 past the hours 1 to 3 and 5 every day"),
        ("5 0,1,3,7,9,12,20 * * *", "at minute 5 past the hours 0, 1, 3, 7, 9, 12 and 20 every day"),
        # Days.
        ("0 9 * * 1-5", "at 09:00 on Monday to Friday"),
        ("0 9 * * mon,WED,Fri", "at 09:00 on Monday, Wednesday and Friday"),
        ("0 9 * * SAT,SUN", "at 09:00 on Saturday and Sunday"),
        ("0 9 * * SUN-TUE", "at 09:00 on Monday, Tuesday and Sunday"),
        ("0 9 * * 5-7", "at 09:00 on Friday to Sunday"),
        ("@weekly", "at 00:00 on Sunday"),
        ("@monthly", "at 00:00 on day 1 of the month"),
        ("@yearly", "at 00:00 on day 1 of January"),
        ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"),
        ("0 0 28-31 FEB-apr,6 *", "at 00:00 on days 28 to 31 of February to April and June"),
        ("*/5 * 25 12 *", "every 5 minutes on day 25 of December"),
        ("0 */2 * * 0", "every 2 hours on Sunday"),
        ("0 12 * 6-8 *", "at 12:00 every day in June to August"),
        ("*/5 * * 1 *", "every 5 minutes in January"),
        ("0 12 * 7 1-5", "at 12:00 on Monday to Friday in July"),
        # Day of month or day of week: either will do, unless one of them starts with a star.
        ("0 0 13 * 5", "at 00:00 on day 13 of the month, and also on Friday"),
        ("0 0 13 1,7 5", "at 00:00 on day 13 of January and July, and also on Friday in January and July"),
        ("0 0 31 2 MON", "at 00:00 on day 31 of February, and also on Monday in February"),
        ("0 0 1-31 * MON", "at 00:00 every day"),
        ("0 0 13 * 0-6", "at 00:00 every day"),
        ("0 0 */2 * 1", "at 00:00 on Monday, but only on days 1 to 31 in steps of 2 of the month"),
        ("0 0 13 * */5", "at 00:00 on Friday and Sunday, but only on day 13 of the month"),
        ("0 0 */100,1-7 * MON", "at 00:00 on the first Monday of the month"),
        ("0 12 8-14 11 */7", "at 12:00 on the second Sunday of November"),
        ("0 0 22-28 1,2 */7", "at 00:00 on the fourth Sunday of January and February"),
        ("0 0 */100,1-8 * MON", "at 00:00 on Monday, but only on days 1 to 8 of the month"),
        ("0 0 */100,29-31 * MON", "at 00:00 on Monday, but only on days 1 and 29 to 31 of the month"),
    ],
)
def test_in_words_of_expression(expression: str, words: str) -> None:
    """The description names all times and days of an expression, in everyday English."""
    assert CronExpression(expression, "Europe/Berlin").in_words() == words


def part(text: str, values: Iterable[int]) -> st.SearchStrategy[Part]:
    """Return a strategy for one given field."""
    return st.just(Part(text, frozenset(values)))


OFTEN_SEEN = st.builds(
    Crontab,
    minute=part("*", range(60)) | part("0", [0]) | part("*/15", range(0, 60, 15)) | part("30", [30]),
    hour=part("*", range(24)) | part("*/4", range(0, 24, 4)) | part("9-17", range(9, 18)) | fields(0, 23),
    day=part("*", range(1, 32)) | part("*/100,1-7", range(1, 8)) | part("8-14", range(8, 15)) | fields(1, 31, often=8),
    month=part("*", range(1, 13)) | part("6-8", range(6, 9)),
    weekday=part("*", range(7)) | part("1-5", range(1, 6)) | part("*/7", [0, 7]) | fields(0, 7, often=3),
)


@given(CRONTABS | OFTEN_SEEN)
@settings(max_examples=300, deadline=None)
def test_in_words_reads_back_as_the_expression(crontab: Crontab) -> None:
    """An independent reader gets the same times and days from the description as from the expression."""
    try:
        reading = read(CronExpression(crontab.text).in_words())
    except InvalidCronExpression as refused:
        assume("never matches" not in str(refused))
        raise
    assert reading.times == set(product(crontab.hour.values, crontab.minute.values))
    for month, day, weekday in product(range(1, 13), range(1, 32), range(7)):
        assert reading.is_day(month, day, weekday) == crontab.matches_day(month, day, weekday)


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (Every(timedelta(seconds=1)), "every second"),
        (Every(timedelta(seconds=90)), "every 1 minute and 30 seconds"),
        (Every(timedelta(minutes=5)), "every 5 minutes"),
        (Every(timedelta(hours=1)), "every hour"),
        (Every(timedelta(days=2, hours=1, seconds=1.5)), "every 2 days, 1 hour and 1.5 seconds"),
        (Every(timedelta(days=1), start=utc("2026-01-01 09:00")), "every day, from 2026-01-01 09:00:00 UTC on"),
    ],
)
def test_in_words_of_interval(every: Every, words: str) -> None:
    """The description has the largest units first, and the start if there is one."""
    assert every.in_words() == words


@pytest.mark.parametrize(
    "schedule", [CronExpression("* * * * *"), Every(timedelta(hours=1)), Union(Every(timedelta(hours=1)))]
)
def test_schedules_implement_explained_schedule(schedule: object) -> None:
    """All schedules of the package implement the ExplainedSchedule protocol of aioq."""
    assert isinstance(schedule, ExplainedSchedule)
