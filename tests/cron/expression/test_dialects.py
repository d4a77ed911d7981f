"""Texts of other systems, and a field for the seconds."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq_cron import CronExpression, InvalidCronExpression
from aioq_cron.expression.dialects import DIALECTS, SECONDS
from tests.times import utc

START = utc("2026-01-01 00:00")

SAME = [
    ("0 0 12 * * ?", {"dialect": "quartz"}, "0 12 * * *"),
    ("0 15 10 ? * 2-6", {"dialect": "quartz"}, "15 10 * * 1-5"),
    ("0 15 10 ? * MON-FRI", {"dialect": "quartz"}, "15 10 * * 1-5"),
    ("0 0/5 14,18 * * ?", {"dialect": "quartz"}, "0-55/5 14,18 * * *"),
    ("0 /5 * * * ?", {"dialect": "quartz"}, "*/5 * * * *"),
    ("0 15 10 L-2 * ?", {"dialect": "quartz"}, "15 10 L-2 * *"),
    ("0 15 10 ? * 6L", {"dialect": "quartz"}, "15 10 * * 5L"),
    ("0 15 10 ? * 6#3", {"dialect": "quartz"}, "15 10 * * 5#3"),
    ("0 0 0 ? * L", {"dialect": "quartz"}, "0 0 * * SAT"),
    ("0 0 22-2 ? NOV-FEB FRI-SUN *", {"dialect": "quartz"}, "0 22-2 * 11-2 5-7"),
    ("0 0 12 LW * ?", {"dialect": "quartz"}, "0 12 LW * *"),
    ("cron(0 10 * * ? *)", {"dialect": "aws"}, "0 10 * * *"),
    ("0 18 ? * MON-FRI *", {"dialect": "aws"}, "0 18 * * 1-5"),
    ("cron(0/10 * ? * 2-6 *)", {"dialect": "aws"}, "0-50/10 * * * 1-5"),
    ("cron(0 9 ? * 2#1 *)", {"dialect": "aws"}, "0 9 * * 1#1"),
    ("cron(0 8 3W * ? *)", {"dialect": "aws"}, "0 8 3W * *"),
    ("0 0 * * * *", {"dialect": "spring"}, "0 * * * *"),
    ("0 0 8-10 * * *", {"dialect": "spring"}, "0 8-10 * * *"),
    ("0 0 0 L-3 * *", {"dialect": "spring"}, "0 0 L-3 * *"),
    ("0 0 0 1W * *", {"dialect": "spring"}, "0 0 1W * *"),
    ("0 0 0 * * THUL", {"dialect": "spring"}, "0 0 * * 4L"),
    ("0 0 0 ? * 5#2", {"dialect": "spring"}, "0 0 * * 5#2"),
    ("0 0 0 * * 7-2", {"dialect": "spring"}, "0 0 * * 0-2"),
    ("0 0 0 ? * */2", {"dialect": "spring"}, "0 0 * * 1,3,5,7"),
    ("0 0 0 ? * 0/2", {"dialect": "spring"}, "0 0 * * 0,2,4,6"),
    ("@weekly", {"dialect": "spring"}, "0 0 * * 0"),
    ("0 0 0 1-7 * MON", {"dialect": "spring"}, "0 0 */100,1-7 * MON"),
    ("*/15 9-17 * * 1-5", {"dialect": "jenkins"}, "*/15 9-17 * * 1-5"),
    ("0 0 * * 7", {"dialect": "jenkins"}, "0 0 * * 0"),
    ("0 0 1-7 * 1", {"dialect": "jenkins"}, "0 0 */100,1-7 * MON"),
    ("0 0 * * L5", {"dialect": "croniter"}, "0 0 * * 5L"),
    ("0 0 */2 * 1", {"dialect": "croniter"}, "0 0 1-31/2 * 1"),
    ("0 0 w15 * *", {"dialect": "croniter"}, "0 0 15W * *"),
    ("0 0 31W * *", {"dialect": "croniter"}, "0 0 LW * *"),
    ("0 0 L * 1", {"dialect": "croniter"}, "0 0 L * 1"),
    ("0 9 * * 1 0", {"dialect": "croniter"}, "0 9 * * 1"),
    ("0 9 * * 1 0", {"seconds": "last"}, "0 9 * * 1"),
    ("0 0 9 * * 1", {"seconds": "first"}, "0 9 * * 1"),
    ("@daily", {"seconds": "first"}, "@daily"),
    ("@hourly", {"seconds": "last"}, "@hourly"),
]


@pytest.mark.parametrize(("text", "options", "ours"), SAME, ids=[f"{text} {options}" for text, options, _ in SAME])
def test_dialect_text_means_the_same_as_ours(text: str, options: dict[str, Any], ours: str) -> None:
    """A text of another system is equal to the expression of this package that says the same."""
    assert CronExpression(text, **options) == CronExpression(ours)


REFUSED = [
    ("0 0 12 * * *", "quartz", "has no ? in either field of the day"),
    ("0 0 12 ? * ?", "quartz", "has ? in both fields of the day"),
    ("0 9 * * *", "quartz", "got 5; it means 'at 09:00 every day' without that argument"),
    ("0 0 12 ? * 0", "quartz", "0 is outside 1-7"),
    ("0 0 12 1,L * ?", "quartz", "L, W and # only alone"),
    ("0 12 ? * 2#1,6#3 *", "aws", "L, W and # only alone"),
    ("@daily", "quartz", "the dialect quartz has none"),
    ("0 0 12 * * ? 2300", "quartz", "2300 is outside 1970-2199"),
    ("0 0 12 * * ? 2030-2020", "quartz", "runs backwards"),
    ("rate(5 minutes)", "aws", "aioq_cron.Every"),
    ("at(2026-11-20T13:00:00)", "aws", "defer_until="),
    ("cron(0 9 * * *)", "jenkins", 'use dialect="aws"'),
    ("0 0 22-2 * * *", "spring", 'range 22-2 runs backwards, in "0 0 22-2 * * *"; write 22-23,0-2'),
    ("0 0 0 * * L", "spring", 'not supported in the dialect spring, in "0 0 0 * * L"; write the day, as in SUN'),
    ("0 9 * * MON", "jenkins", 'no names, in "0 9 * * MON"; write 1 for MON'),
    ("5/15 * * * *", "jenkins", "write 5-59/15"),
    ("0 9 ? * *", "jenkins", 'is not supported in the dialect jenkins, in "0 9 ? * *"; write *'),
    ("0 9 L * *", "jenkins", 'is not supported in the dialect jenkins, in "0 9 L * *"; leave out dialect= to use it'),
    ("0 9 * * 1#2", "jenkins", "; leave out dialect= to use it"),
    ("0 H 9 * * ? *", "quartz", "; leave out dialect= to use it"),
    ("0 0~30 9 * * ? *", "quartz", "; write one value, and spread the runs with jitter="),
    ("5-5 * * * *", "croniter", "croniter reads '5-5' as all values"),
    ("0 22-4/3 * * *", "croniter", "croniter reads '22-4/3' one too far"),
    ("0 0 30W * *", "croniter", "as the last working day in a shorter month"),
    ("0 0 15W * 1", "croniter", "restricts both fields of the day"),
    ("0 0 15 * 1#2", "croniter", "restricts both fields of the day"),
    ("0 0 * * 5L", "croniter", 'is not supported in the dialect croniter, in "0 0 * * 5L"; write L5'),
    ("0 0 29 2 ? 2027", "aws", "never matches: no month in (2) has day 29 in the years 2027"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "dialect", "problem"), REFUSED)
def test_text_that_dialect_does_not_have_is_refused(text: str, dialect: Any, problem: str) -> None:
    """What the other system does not accept, or has no fields for, is refused with what to write instead."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression(text, dialect=dialect)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": "middle"}, "seconds is one of first, last, or None; got 'middle'"),
        ({"dialect": ["aws"]}, r"dialect is one of quartz, aws, croniter, jenkins, spring, or None; got \['aws'\]"),
        ({"dialect": "aws", "seconds": "first"}, "says where its seconds are; leave out seconds='first'"),
    ],
)
def test_unknown_dialect_raises_value_error(options: dict[str, Any], message: str) -> None:
    """A wrong name lists the right ones."""
    with pytest.raises(ValueError, match=message):
        CronExpression("0 0 * * * *", **options)


def ticks(expression: CronExpression, start: datetime, count: int) -> list[str]:
    """Return the next ticks, in the zone of the expression."""
    found = islice(expression.occurrences(start), count)
    return [tick.astimezone(expression.tz).strftime("%m-%d %H:%M:%S%z") for tick in found]


def test_seconds_fire_within_matching_minutes() -> None:
    """Every matching second of a matching minute is a tick, and the search goes on from each of them."""
    expression = CronExpression("*/20 30 9 * * *", seconds="first")
    assert ticks(expression, utc("2026-01-01 09:30"), 4) == [
        "01-01 09:30:20+0000",
        "01-01 09:30:40+0000",
        "01-02 09:30:00+0000",
        "01-02 09:30:20+0000",
    ]


def test_seconds_of_fixed_time_in_gap_fire_once() -> None:
    """Seconds do not change the rules of clock changes: a fixed time in a gap fires once, at its end."""
    expression = CronExpression("*/20 30 2 * * *", "Europe/Berlin", seconds="first")
    assert ticks(expression, utc("2026-03-28 12:00"), 2) == ["03-29 03:00:00+0200", "03-30 02:30:00+0200"]
    assert len(ticks(expression, utc("2026-10-24 22:00"), 3)) == 3
    assert ticks(expression, utc("2026-10-24 22:00"), 4)[2:] == ["10-25 02:30:40+0200", "10-26 02:30:00+0100"]


def test_seconds_of_wildcard_follow_the_clock_on_the_wall() -> None:
    """An expression with a star in its minutes fires in both passes, and not in a gap."""
    expression = CronExpression("30 */30 * * * *", "Europe/Berlin", seconds="first")
    assert ticks(expression, utc("2026-03-29 00:31"), 2) == ["03-29 03:00:30+0200", "03-29 03:30:30+0200"]
    assert ticks(expression, utc("2026-10-25 00:00"), 4) == [
        "10-25 02:00:30+0200",
        "10-25 02:30:30+0200",
        "10-25 02:00:30+0100",
        "10-25 02:30:30+0100",
    ]


def test_years_end_an_expression() -> None:
    """After the last of its years an expression has no ticks, and before the first it waits."""
    expression = CronExpression("cron(0 12 1 1 ? 2027-2028)", dialect="aws")
    assert ticks(expression, START, 5) == ["01-01 12:00:00+0000"] * 2
    assert expression.next_after(utc("2028-01-01 12:00")) is None
    assert CronExpression("cron(0 12 1 1 ? 2020)", dialect="aws").next_after(START) is None


def test_years_with_leap_day_skip_other_years() -> None:
    """A step of years is counted from 1970, and a leap day falls only into some of them."""
    expression = CronExpression("0 0 12 29 2 ? */2", dialect="quartz")
    years = [tick.year for tick in islice(expression.occurrences(START), 3)]
    assert years == [2028, 2032, 2036]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("*/10 * * * * *", {"seconds": "first"}),
        ("0 0 12 ? * 2", {"dialect": "quartz"}),
        ("H H * * *", {"name": "report"}),
        ("H H * * *", {"dialect": "jenkins", "name": "report"}),
        ("H H * * *", {}),
    ],
)
def test_copies_and_repr_keep_the_dialect(text: str, options: dict[str, Any]) -> None:
    """A pickled expression, and one made of its repr, are equal to it."""
    expression = CronExpression(text, "Europe/Berlin", **options)
    for copy in (pickle.loads(pickle.dumps(expression)), eval(repr(expression))):
        assert copy == expression
        assert (repr(copy), str(copy), copy.name) == (repr(expression), str(expression), expression.name)


def test_same_text_in_two_dialects_differs() -> None:
    """Equality is by meaning: the dialects number the weekdays in two ways."""
    spring, quartz = (CronExpression("0 0 12 ? * 2", dialect=dialect) for dialect in ("spring", "quartz"))
    assert spring != quartz
    assert str(spring) == "0 0 12 ? * 2 (spring)"
    assert str(CronExpression("* * * * * *", seconds="last")) == "* * * * * * (seconds last)"


def test_canonical_text_with_seconds_and_years() -> None:
    """Seconds come first and years last; both days of the month are marked if no star says it."""
    assert CronExpression("* * * * * *", seconds="last").canonical == "* * * * * *"
    assert CronExpression("0 9 ? * 2 2026,2027", dialect="aws").canonical == "0 0 9 * * 1 2026-2027"
    assert CronExpression("0 0 0 13 * FRI", dialect="spring").canonical == "0 0 13 * &5"


def test_hash_differs_between_names_and_stays() -> None:
    """The value of `H` is that of the name: recorded here, because it must be the same in each release."""
    chosen = {name: CronExpression("H H * * *", name=name).canonical for name in ("report", "cleanup", "tasks.a")}
    assert chosen == {"report": "6 6 * * *", "cleanup": "46 14 * * *", "tasks.a": "11 4 * * *"}
    assert CronExpression("H H * * *", name="report") == CronExpression(chosen["report"])


@pytest.mark.parametrize(
    ("text", "allowed", "count"),
    [
        ("H * * * *", range(60), 1),
        ("H(0-29) * * * *", range(30), 1),
        ("H/15 * * * *", range(60), 4),
        ("H(0-29)/10 * * * *", range(30), 3),
        ("H(10-40)/7 * * * *", range(10, 41), 4),
    ],
)
def test_hash_stays_in_range_and_is_spread(text: str, allowed: range, count: int) -> None:
    """Over many names every value of the range is chosen, and never another."""
    seen = set[int]()
    for number in range(400):
        minutes = {tick.minute for tick in islice(CronExpression(text, name=f"job{number}").occurrences(START), 20)}
        assert len(minutes) >= count
        seen |= minutes
    assert seen == set(allowed)


def test_hash_of_day_is_in_every_month() -> None:
    """A plain `H` as the day of month is at most 28, and as the day of week at most 6."""
    expressions = [CronExpression("0 0 H * *", name=str(number)) for number in range(300)]
    assert {int(expression.canonical.split()[2]) for expression in expressions} == set(range(1, 29))
    weekdays = [CronExpression("0 0 * * H", name=str(number)).canonical.split()[4] for number in range(100)]
    assert set(weekdays) == set("0123456")


def test_hash_without_name_says_what_to_do() -> None:
    """An expression with `H` can be built without a name, but not asked for anything."""
    expression = CronExpression("H 9 * * *")
    for ask in (
        lambda: expression.next_after(START),
        expression.in_words,
        lambda: expression.clock_changes(START, START + timedelta(days=365)),
    ):
        with pytest.raises(InvalidCronExpression, match=r"has an H, and no name .* @app\.cron and"):
            ask()
    assert expression == CronExpression("h  9 * * *")
    named = expression.named("report")
    assert named.named("other") is named
    assert CronExpression("0 9 * * *").named("report").name is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("H(30-20) * * * *", "'H(30-20)' runs backwards"),
        ("H(0-60) * * * *", "60 is outside 0-59"),
        ("H/61 * * * *", "'H/61' has a step outside 1-60"),
        ("H(0-4)/6 * * * *", "'H(0-4)/6' has a step outside 1-5"),
        ("H/0 * * * *", "'H/0' has a step outside 1-60"),
    ],
)
def test_wrong_hash_is_refused(text: str, problem: str) -> None:
    """Wrong numbers of an `H` name the item."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression(text)
    assert problem in str(refused.value)


@pytest.mark.parametrize("text", ["*/20 30 2 * * *", "5-50/9 */7 1,2 * * *", "59 59 23 * * 7L"])
def test_count_of_seconds_agrees_with_ticks(text: str) -> None:
    """The number of ticks in a span is that of the ticks one by one, also across clock changes."""
    expression = CronExpression(text, "Europe/Berlin", seconds="first")
    for start in (utc("2026-03-28 12:00:07"), utc("2026-10-24 23:30:20"), utc("2026-06-01 00:02:41")):
        end = start + timedelta(days=2, seconds=13)
        assert expression.count(start, end) == len(list(expression.between(start, end)))


TIMES = st.sampled_from(
    ["*", "0", "5", "*/5", "/5", "1/2", "9-5", "1,2,3", "5-9/2", "H", "H/7", "H(1-3)", "8-8", "20-2/5"]
)
DAYS = st.sampled_from(
    ["*", "?", "1", "L", "LW", "15W", "L-3", "1-7", "28-3", "H", "31", "30W", "*/100,1-7", "1,L", "1,15W"]
)
MONTHS = st.sampled_from(["*", "1", "JAN", "NOV-FEB", "*/3", "2", "H"])
WEEKDAYS = st.sampled_from(
    ["*", "?", "1", "FRI-MON", "5L", "FRIL", "MON#2", "L", "L5", "*/2", "7", "7-2", "H", "1#1,2"]
)
YEARS = st.lists(st.sampled_from(["*", "2026-2030", "2026/2", "2020"]), max_size=1)
OPTIONS: list[dict[str, Any]] = [
    {},
    *({"seconds": place} for place in SECONDS),
    *({"dialect": name} for name in DIALECTS),
]


@given(st.tuples(TIMES, TIMES, TIMES, DAYS, MONTHS, WEEKDAYS), YEARS, st.sampled_from(["five", "first", "last"]))
def test_any_fields_in_any_dialect_are_refused_or_understood(fields: Any, years: list[str], order: str) -> None:
    """What a dialect accepts has words, lints and ticks, and its canonical text means the same without the dialect."""
    second, *five = fields
    text = " ".join([*{"five": five, "first": fields, "last": [*five, second]}[order], *years])
    for options in OPTIONS:
        try:
            expression = CronExpression(text, "Europe/Berlin", name="report", **options)
        except InvalidCronExpression:
            continue
        assert expression.in_words()
        assert all(isinstance(lint, str) for lint in expression.lints(START))
        ours = expression.canonical
        if "&" in ours or len(ours.split()) > 6:
            continue
        same = CronExpression(ours, "Europe/Berlin", seconds="first" if len(ours.split()) == 6 else None)
        assert (same, same.canonical, same.next_after(START)) == (expression, ours, expression.next_after(START))
