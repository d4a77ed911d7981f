"""The words of `explain` for every form and dialect: a table that was checked by hand against the documentation."""

from __future__ import annotations

from typing import Any

import pytest

from aioq_cron import CronExpression

NAMED = {"name": "tasks.report"}
FIRST, LAST = {"seconds": "first"}, {"seconds": "last"}
QUARTZ, AWS, SPRING = {"dialect": "quartz"}, {"dialect": "aws"}, {"dialect": "spring"}
JENKINS = {"dialect": "jenkins", "name": "tasks.report"}
CRONITER = {"dialect": "croniter"}

WORDS: list[tuple[str, dict[str, Any], str]] = [
    ("0 0 1,15 * FRI", {}, "at 00:00 on days 1 and 15 of the month, and also on Friday"),
    ("0 18 L * *", {}, "at 18:00 on the last day of the month"),
    ("0 18 L-3 * *", {}, "at 18:00 on the day 3 days before the last day of the month"),
    ("0 9 15W * ?", {}, "at 09:00 on the working day nearest to day 15 of the month"),
    ("0 9 LW 3,6,9,12 *", {}, "at 09:00 on the last working day of March, June, September and December"),
    ("0 8 * * MON#1", {}, "at 08:00 on the first Monday of the month"),
    ("0 12 ? 6 FRIL", {}, "at 12:00 on the last Friday of June"),
    ("0 0 L * FRI", {}, "at 00:00 on the last day of the month, and also on Friday"),
    ("*/30 22-2 * * FRI-SUN", {}, "every 30 minutes of the hours 0 to 2, 22 and 23 on Friday to Sunday"),
    ("0 6 * NOV-FEB *", {}, "at 06:00 every day in January, February, November and December"),
    ("0 0 */100,1-7 * MON", {}, "at 00:00 on the first Monday of the month"),
    ("0 0 */2 * 1", {}, "at 00:00 on Monday, but only on days 1 to 31 in steps of 2 of the month"),
    ("H * * * *", NAMED, "at minute 41 past every hour"),
    ("H H * * *", NAMED, "at 11:41 every day"),
    ("H/15 * * * *", NAMED, "at minutes 11, 26, 41 and 56 past every hour"),
    ("H(0-29)/10 9-17 * * 1-5", NAMED, "at minutes 1, 11 and 21 past the hours 9 to 17 on Monday to Friday"),
    ("H H(1-4) H * *", NAMED, "at 04:41 on day 13 of the month"),
    ("0 H * * H", NAMED, "at 11:00 on Tuesday"),
    ("* * * * * *", FIRST, "every second"),
    ("*/10 * * * * *", FIRST, "every 10 seconds"),
    ("30 * * * * *", FIRST, "at second 30 of every minute"),
    ("5,35 * * * * *", FIRST, "at seconds 5 and 35 of every minute"),
    ("15 30 9 * * *", FIRST, "at 09:30 every day, at second 15 of the minute"),
    ("*/20 30 9 * * 1-5", FIRST, "at 09:30 on Monday to Friday, every 20 seconds of the minute"),
    ("0 0 9 * * *", FIRST, "at 09:00 every day"),
    ("10-20 */5 * * * *", FIRST, "every 5 minutes, at seconds 10 to 20 of the minute"),
    ("* * * * * 0", LAST, "every minute"),
    ("0 9 * * 1 30", LAST, "at 09:00 on Monday, at second 30 of the minute"),
    ("@daily", FIRST, "at 00:00 every day"),
    ("*/7 0 * * * *", FIRST, "every hour, at seconds 0 to 56 in steps of 7 of the minute"),
    ("0 0 12 * * ?", QUARTZ, "at 12:00 every day"),
    ("0 15 10 ? * 2-6", QUARTZ, "at 10:15 on Monday to Friday"),
    ("0 0/5 14 * * ?", QUARTZ, "every 5 minutes from 14:00 to 14:55 every day"),
    ("0 10,44 14 ? 3 WED", QUARTZ, "at 14:10 and 14:44 on Wednesday in March"),
    ("0 15 10 L-2 * ?", QUARTZ, "at 10:15 on the day 2 days before the last day of the month"),
    ("0 15 10 ? * 6L 2027-2029", QUARTZ, "at 10:15 on the last Friday of the month in the years 2027 to 2029"),
    ("0 15 10 ? * 6#3", QUARTZ, "at 10:15 on the third Friday of the month"),
    ("0 11 11 11 11 ?", QUARTZ, "at 11:11 on day 11 of November"),
    ("0/30 * * * * ?", QUARTZ, "every 30 seconds"),
    ("0 0 0 ? * L", QUARTZ, "at 00:00 on Saturday"),
    ("0 0 12 1/5 * ?", QUARTZ, "at 12:00 on days 1, 6, 11, 16, 21, 26 and 31 of the month"),
    ("0 0 0 1 1 ? 2030", QUARTZ, "at 00:00 on day 1 of January in the year 2030"),
    ("cron(0 10 * * ? *)", AWS, "at 10:00 every day"),
    ("cron(0 18 ? * MON-FRI *)", AWS, "at 18:00 on Monday to Friday"),
    ("cron(0/15 * * * ? *)", AWS, "every 15 minutes"),
    ("cron(15 10 ? * 6L 2026-2028)", AWS, "at 10:15 on the last Friday of the month in the years 2026 to 2028"),
    ("cron(0 9 ? * 2#1 *)", AWS, "at 09:00 on the first Monday of the month"),
    ("cron(0 8 1 * ? 2026/2)", AWS, "at 08:00 on day 1 of the month in the years 2026 to 2198 in steps of 2"),
    ("0 12 LW * ? *", AWS, "at 12:00 on the last working day of the month"),
    ("0 0 * * * *", SPRING, "every hour"),
    ("*/10 * * * * *", SPRING, "every 10 seconds"),
    ("0 0/30 8-10 * * *", SPRING, "every 30 minutes from 08:00 to 10:30 every day"),
    ("0 0 9-17 * * MON-FRI", SPRING, "every hour from 09:00 to 17:00 on Monday to Friday"),
    ("0 0 0 25 DEC ?", SPRING, "at 00:00 on day 25 of December"),
    ("0 0 0 * * 5L", SPRING, "at 00:00 on the last Friday of the month"),
    ("0 0 0 ? * MON#1", SPRING, "at 00:00 on the first Monday of the month"),
    ("0 0 0 13 * FRI", SPRING, "at 00:00 on Friday, but only on day 13 of the month"),
    ("@monthly", SPRING, "at 00:00 on day 1 of the month"),
    ("H H(0-7) * * *", JENKINS, "at 03:41 every day"),
    ("@midnight", JENKINS, "at 02:41 every day"),
    ("H/30 9-16 * * 1-5", JENKINS, "at minutes 11 and 41 past the hours 9 to 16 on Monday to Friday"),
    ("0 0 13 * 5", JENKINS, "at 00:00 on Friday, but only on day 13 of the month"),
    ("*/5 2 * * * 30", CRONITER, "every 5 minutes from 02:00 to 02:55 every day, at second 30 of the minute"),
    ("0 0 * * L5", CRONITER, "at 00:00 on the last Friday of the month"),
    ("0 0 */2 * 1", CRONITER, "at 00:00 on days 1 to 31 in steps of 2 of the month, and also on Monday"),
    ("0 9 1 1 * 0 2027", CRONITER, "at 09:00 on day 1 of January in the year 2027"),
    ("0 0 31W * *", CRONITER, "at 00:00 on the last working day of the month"),
]


@pytest.mark.parametrize(("text", "options", "words"), WORDS)
def test_words_of_each_form_and_dialect(text: str, options: dict[str, Any], words: str) -> None:
    """The words say when the system itself fires its text, and the value that the name chose for an `H`."""
    assert CronExpression(text, **options).in_words() == words
