"""Lints: what an expression says and its author hardly means."""

from __future__ import annotations

import warnings
from inspect import currentframe
from typing import Any

import pytest

from aioq import Aarq, CronContext, CronWarning, JobContext
from aioq.backends import MemoryBroker
from aioq.cron.schedule import LintedSchedule
from aioq_cron import CronExpression, CronScheduler, Except, Union
from tests.times import utc

NEW_YEAR = utc("2026-01-01")


def lints(text: str, tz: str = "Europe/Berlin", **options: Any) -> list[str]:
    """Return the lints of an expression on New Year's Day of 2026."""
    return CronExpression(text, tz, **options).lints(NEW_YEAR)


@pytest.mark.parametrize(
    ("text", "options", "lint"),
    [
        ("*/45 * * * *", {}, ("'*/45' in the minute field does not divide the hour: 0 follows 45 after 15 and not after 45; "
         "for equal intervals write @every 45m")),
        ("3/7 * * * *", {}, ("'3/7' in the minute field does not divide the hour: 3 follows 59 after 4 and not after 7; "
         "for equal intervals write @every 7m")),
        ("0 */5 * * *", {}, ("'*/5' in the hour field does not divide the day: 0 follows 20 after 4 and not after 5; "
         "for equal intervals write @every 5h")),
        ("0 0 */2 * *", {}, ("'*/2' in the day-of-month field does not divide the month: 1 follows 31 after 1 and not after 2; "
         "for equal intervals use EveryDays(2, ...)")),
        ("0 0 1 */5 *", {}, ("'*/5' in the month field does not divide the year: 1 follows 11 after 2 and not after 5; "
         "for equal intervals name the months")),
        ("0 0 * * */2", {}, ("'*/2' in the day-of-week field does not divide the week: 0 follows 6 after 1 and not after 2; "
         "for equal intervals name the days")),
        ("*/7 * * * * *", {"seconds": "first"}, ("'*/7' in the second field does not divide the minute: 0 follows 56 after 4 "
         "and not after 7; for equal intervals write @every 7s")),
        ("0 /7 * * * ?", {"dialect": "quartz"}, ("'/7' in the minute field does not divide the hour: 0 follows 56 after 4 "
         "and not after 7; for equal intervals write @every 7m")),
        ("0 0 0 * * */2", {"dialect": "spring"}, ("'*/2' in the day-of-week field does not divide the week: 1 follows 7 "
         "after 1 and not after 2; for equal intervals name the days")),
        ("5-5 * * * *", {}, "'5-5' in the minute field is 5 alone; write 5"),
        ("0 0 * * mon-MON", {}, "'mon-MON' in the day-of-week field is 1 alone; write 1"),
        ("*/60 * * * *", {}, "'*/60' in the minute field has a step that does nothing: it is 0 alone; write 0"),
        ("0,59/15 * * * *", {}, "'59/15' in the minute field has a step that does nothing: it is 59 alone; write 59"),
        ("0 1-5/10 * * *", {}, "'1-5/10' in the hour field has a step that does nothing: it is 1 alone; write 1"),
        ("0 0 1,15 * FRI", {}, ("fires on days of either field of the day: at 00:00 on days 1 and 15 of the month, and also "
         "on Friday; for days of both, join two expressions with &")),
        ("0 0 1-31 * MON", {}, ("fires on days of either field of the day: at 00:00 every day; for days of both, join two "
         "expressions with &")),
        ("0 0 13 * */7", {"tz": "UTC"}, ("'*/7' in the day-of-week field has a step that does nothing: it is 0 alone; "
         "write 0")),
        ("30 2 * * *", {}, ("02:30 does not exist in Europe/Berlin on 2026-03-29, when the clock goes from 02:00 to 03:00: "
         "fires at 03:00 then; choose a time outside of the gap, or tz='UTC'")),
        ("0 0 * * *", {"tz": "America/Havana"}, ("00:00 does not exist in America/Havana on 2026-03-08, when the clock goes "
         "from 00:00 to 01:00: fires at 01:00 then; choose a time outside of the gap, or tz='UTC'")),
        ("*/15 2 * * *", {}, ("does not fire at all in Europe/Berlin on 2026-03-29, when the clock goes from 02:00 to 03:00, "
         "because a minute or an hour with a * in front follows the clock; write values, such as 0-59/15 for */15, to fire "
         "after the gap")),
    ],
)  # fmt: skip
def test_lint_says_what_happens_and_what_to_write(text: str, options: dict[str, Any], lint: str) -> None:
    """The first lint of an odd expression, word by word."""
    assert lints(text, **options)[0] == lint


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("* * * * *", {}),
        ("*/1 * * * *", {}),
        ("*/15 * * * *", {}),
        ("5/15 * * * *", {}),
        ("0 8/2 * * *", {}),
        ("0 9-17/3 * * *", {}),
        ("0 22-2 * * FRI-SUN", {"tz": "UTC"}),
        ("0 0 1 */3 *", {}),
        ("0 0 */100,1-7 * MON", {}),
        ("0 0 ? * MON", {}),
        ("0 0 0 13 * FRI", {"dialect": "spring"}),
        ("0 0 13 * 5", {"dialect": "jenkins"}),
        ("30 2 * * 1-6", {}),
        ("30 2 * * *", {"tz": "UTC"}),
        ("* 0-5 * * *", {}),
        ("0 9 * * *", {}),
        ("0 18 L-3,LW,15W * *", {}),
        ("0 0 * * FRIL,MON#1,1-3", {}),
        ("0 0 L * *", {}),
        ("0 0-59/30 8 ? * L", {"dialect": "quartz"}),
        ("0 8-9 * * L5", {"dialect": "croniter"}),
        ("0 8 w15 * *", {"dialect": "croniter"}),
        ("H/7 * * * *", {"name": "report"}),
        ("H H * * *", {}),
        ("0 12 31 12 *", {"tz": "Pacific/Apia"}),
    ],
)
def test_plain_expression_has_no_lints(text: str, options: dict[str, Any]) -> None:
    """What is meant as it is written is not worth a warning."""
    assert lints(text, **options) == []


def test_step_of_day_beside_weekday_has_two_lints() -> None:
    """A star that makes both fields of the day count is told, with the words of the whole."""
    assert lints("0 0 */2 * MON", "UTC")[1] == (
        "fires on days of both fields of the day: at 00:00 on Monday, but only on days 1 to 31 in steps of 2 of the month; "
        "for days of either, join two expressions with |"
    )


def test_combined_schedules_have_lints_of_their_parts() -> None:
    """Each lint names its part."""
    odd, plain = CronExpression("*/45 * * * *"), CronExpression("0 9 * * *")
    for combined in (Union(odd, plain), plain & odd, odd - plain, plain - odd, Except(odd, {NEW_YEAR.date()})):
        assert isinstance(combined, LintedSchedule)
        (lint,) = combined.lints(NEW_YEAR)
        assert lint.startswith("*/45 * * * *: '*/45' in the minute field")
    assert not isinstance(CronScheduler().parse("@every 5m"), LintedSchedule)


async def report(_: CronContext) -> None:
    """Report."""


def this_line() -> int:
    """Return the line that calls this function."""
    frame = currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_definition_warns_at_its_own_line() -> None:
    """Both decorators warn of the line that calls them, with a category of its own."""
    app = Aarq(MemoryBroker())

    @app.task
    async def send(ctx: JobContext) -> None: ...

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        app.cron("*/45 * * * *", name="report")(report)
        app.schedule(send, "*/45 * * * *", name="send")
        last = this_line()
    assert [(warning.filename, warning.lineno) for warning in seen] == [(__file__, last - 2), (__file__, last - 1)]
    assert str(seen[0].message).startswith("cron entry report: '*/45' in the minute field")


def test_definition_warns_once_per_place() -> None:
    """With the filters that Python has by default, a line that runs often warns once."""
    app = Aarq(MemoryBroker())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(3):
            app.cron("*/45 * * * *", name="report")(report)
            app = Aarq(MemoryBroker())
    assert [warning.category for warning in seen] == [CronWarning]


def test_warning_can_be_silenced() -> None:
    """A filter for the category is enough; an entry that is switched off warns of nothing."""
    app = Aarq(MemoryBroker())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        app.cron("*/45 * * * *", name="off", enabled=False)(report)
        warnings.filterwarnings("ignore", category=CronWarning)
        app.cron("*/45 * * * *", name="report")(report)
        assert seen == []
        warnings.filterwarnings("always", category=CronWarning)
        app.cron("*/45 * * * *", name="again")(report)
    assert [str(warning.message).partition(":")[0] for warning in seen] == ["cron entry again"]
