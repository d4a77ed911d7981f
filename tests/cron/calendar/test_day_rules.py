"""Days of an expression: numbers, last days, working days, nth and last weekdays, and ranges around the end of a field."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile

import pytest
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aioq_cron import CronExpression, InvalidCronExpression
from tests.cron.calendar.month_model import DAYS, DayFields, days_between

START, END = date(2027, 1, 1), date(2029, 1, 1)
ALWAYS = date(2000, 1, 1), date(2041, 1, 1)


def days_of(expression: str, start: date, end: date) -> list[date]:
    """Return the days on which an expression fires, once each."""
    first = datetime(start.year, start.month, start.day, tzinfo=UTC) - timedelta(microseconds=1)
    ticks = (tick.date() for tick in CronExpression(expression).occurrences(first))
    return list(dict.fromkeys(takewhile(lambda day: day < end, ticks)))


@given(DAYS)
@settings(max_examples=80, deadline=None)
def test_expression_has_the_days_of_the_model(fields: DayFields) -> None:
    """Every combination of day fields fires on the days that a search through the calendar finds, and on no others."""
    expected = [day for day in days_between(START, END) if fields.matches(day)]
    if expected or any(fields.matches(day) for day in days_between(*ALWAYS)):
        assert days_of(fields.text, START, END) == expected
    else:
        with pytest.raises(InvalidCronExpression, match="never matches"):
            CronExpression(fields.text)


@given(DAYS, DAYS)
@settings(max_examples=40, deadline=None)
def test_canonical_of_day_fields_means_the_same(fields: DayFields, other: DayFields) -> None:
    """The canonical text is an expression with the same days and its own canonical text; equal ones fire together."""
    try:
        one, two = CronExpression(fields.text), CronExpression(other.text)
    except InvalidCronExpression:
        assume(False)
        return
    form = CronExpression(one.canonical)
    assert (form.canonical, form, hash(form)) == (one.canonical, one, hash(one))
    assert form.in_words() == one.in_words()
    assert days_of(one.canonical, START, END) == days_of(fields.text, START, END)
    if one == two:
        assert days_of(fields.text, START, END) == days_of(other.text, START, END)


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (("0 0 L * *", "0 0 l-0 * ?", "0 0 L,L * *"), "0 0 L * *"),
        (("0 0 ? * FRIL", "0 0 * * 5l"), "0 0 * * 5L"),
        (("0 0 * * SUN#2", "0 0 ? * 7#2", "0 0 * * 0#2"), "0 0 * * 0#2"),
        (("0 0 lw,015W,1 * *", "0 0 1,15w,LW * *"), "0 0 1,15W,LW * *"),
        (("0 0 * * 1-5,3L,TUE#1",), "0 0 * * 1-5"),
        (("0 0 L 1,7 *", "0 0 31 1,7 *"), "0 0 31 1,7 *"),
        (("0 0 1-31,15W * *", "0 0 ? * ?"), "0 0 * * *"),
        (("0 22-2 * * *", "0 22,23,0-2 * * *"), "0 0-2,22-23 * * *"),
        (("0 0 * * FRI-MON", "0 0 * * 5-7,0-1"), "0 0 * * 0-1,5-6"),
    ],
)
def test_canonical_of_day_rules_is_one_text(texts: tuple[str, ...], form: str) -> None:
    """Case, order, names, and rules that numbers can express have no effect on the canonical text."""
    assert {CronExpression(text).canonical for text in texts} == {form}


CRONITER_DAYS = st.one_of(
    st.integers(1, 28).map(lambda day: (f"{day}W * *", f"{day}W * *")),
    st.just(("L * *", "L * *")),
    st.just(("LW * *", "31W * *")),
    st.integers(0, 6).map(lambda weekday: (f"* * {weekday}L", f"* * L{weekday}")),
    st.tuples(st.integers(0, 6), st.integers(1, 5)).map(lambda nth: (f"* * {nth[0]}#{nth[1]}",) * 2),
    st.tuples(
        st.lists(st.integers(1, 31), min_size=1, max_size=9),
        st.lists(st.integers(1, 12), min_size=1, max_size=6),
        st.lists(st.integers(0, 6), min_size=1, max_size=3),
    ).map(lambda drawn: (" ".join(",".join(map(str, sorted(set(values)))) for values in drawn),) * 2),
)


@given(CRONITER_DAYS, st.dates(date(1970, 1, 1), date(2090, 1, 1)))
@settings(max_examples=100, deadline=None)
def test_expression_has_the_days_of_croniter(days: tuple[str, str], start: date) -> None:
    """The package finds the same days as croniter from any start, for all forms that croniter knows."""
    ours, theirs = days
    noon = datetime(start.year, start.month, start.day)
    steps = croniter(f"0 0 {theirs}", noon, datetime, day_or=True)
    expected = [steps.get_next(datetime) for _ in range(12)]
    found = islice(CronExpression(f"0 0 {ours}").occurrences(noon.replace(tzinfo=UTC)), 12)
    assert [tick.replace(tzinfo=None) for tick in found] == expected


@pytest.mark.parametrize(
    ("day", "days"),
    [
        ("1W * *", ["2026-01-01", "2026-02-02", "2026-03-02", "2026-04-01"]),
        ("31W * *", ["2026-01-30", "2026-03-31", "2026-05-29", "2026-07-31"]),
        ("29W 2 *", ["2028-02-29", "2032-02-27", "2036-02-29", "2040-02-29"]),
        ("L-28 * *", ["2026-01-03", "2026-03-03", "2026-04-02", "2026-05-03"]),
        ("* 2 MON#5", ["2044-02-29", "2072-02-29", "2112-02-29", "2140-02-29"]),
        ("L * FRI", ["2026-01-02", "2026-01-09", "2026-01-16", "2026-01-23"]),
        ("*/2 * FRIL", ["2026-02-27", "2026-03-27", "2026-05-29", "2026-07-31"]),
        ("28-3 2 *", ["2026-02-01", "2026-02-02", "2026-02-03", "2026-02-28"]),
    ],
)
def test_expression_first_days(day: str, days: list[str]) -> None:
    """Months without a day have no such working day, a fifth Monday may be far away, and two day fields are alternatives."""
    ticks = islice(CronExpression(f"0 0 {day}").occurrences(datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=1)), 4)
    assert [str(tick.date()) for tick in ticks] == days


def test_calendar_end_with_day_rules_returns_none() -> None:
    """The last days of the year 9999 fire, and nothing follows."""
    for day in ("L * *", "L-3 * *", "31W 12 *", "* * 5L", "* * FRI#5", "*/2 * 5L", "L * FRI"):
        expression = CronExpression(f"0 0 {day}")
        last = list(expression.occurrences(datetime(9999, 11, 20, tzinfo=UTC)))
        assert last[-1].month == 12
        assert expression.next_after(last[-1]) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 9 L * *", "at 09:00 on the last day of the month"),
        ("0 9 L-1 * *", "at 09:00 on the day before the last day of the month"),
        ("0 9 L-3 2,7 *", "at 09:00 on the day 3 days before the last day of February and July"),
        ("0 9 15W * *", "at 09:00 on the working day nearest to day 15 of the month"),
        ("0 9 LW 12 ?", "at 09:00 on the last working day of December"),
        ("0 9 ? * 5L", "at 09:00 on the last Friday of the month"),
        ("0 9 * * sunL", "at 09:00 on the last Sunday of the month"),
        ("0 9 * * MON#2", "at 09:00 on the second Monday of the month"),
        ("0 9 * 6,7 3#5", "at 09:00 on the fifth Wednesday of June and July"),
        ("0 9 * * 1#1,1#3", "at 09:00 on the first Monday and the third Monday of the month"),
        ("0 9 * * 1,5L", "at 09:00 on each Monday and the last Friday of the month"),
        ("0 9 * 3 1-3,5L", "at 09:00 on each Monday to Wednesday and the last Friday of March"),
        ("0 9 1,L * *", "at 09:00 on day 1 and the last day of the month"),
        ("0 9 1,15,L-2,20W 6-8 *",
         ("at 09:00 on days 1 and 15, the day 2 days before the last day and the working day nearest to day 20 "
         "of June to August")),
        ("0 9 L * FRI", "at 09:00 on the last day of the month, and also on Friday"),
        ("0 9 13 * 5L", "at 09:00 on day 13 of the month, and also on the last Friday of the month"),
        ("0 9 13 6 5L", "at 09:00 on day 13 of June, and also on the last Friday of June"),
        ("0 9 L 6 1", "at 09:00 on day 30 of June, and also on Monday in June"),
        ("0 9 */2 * 5L", "at 09:00 on the last Friday of the month, but only on days 1 to 31 in steps of 2 of the month"),
        ("0 9 */2,L * 1", "at 09:00 on Monday, but only on days 1 to 31 in steps of 2 and the last day of the month"),
        ("0 22-2 * * *", "at 00:00, 01:00, 02:00, 22:00 and 23:00 every day"),
        ("*/20 22-1 * * *", "every 20 minutes of the hours 0, 1, 22 and 23 every day"),
        ("50-10/10 * * * *", "at minutes 0, 10 and 50 past every hour"),
        ("0 0 * * FRI-MON", "at 00:00 on Monday and Friday to Sunday"),
        ("0 0 1 NOV-FEB *", "at 00:00 on day 1 of January, February, November and December"),
        ("0 0 28-3 * *", "at 00:00 on days 1 to 3 and 28 to 31 of the month"),
        ("0 0 ? * ?", "at 00:00 every day"),
    ],
)  # fmt: skip
def test_in_words_of_day_rules(expression: str, words: str) -> None:
    """Each form has its own words, with the months that it applies to, and alternatives are called so."""
    assert CronExpression(expression).in_words() == words


def test_last_day_of_one_month_does_not_change_another() -> None:
    """In one month the last day is a number, and the same text stays a rule in other months."""
    texts = ["0 0 L 4 *", "0 0 L 2 *", "0 0 L 1 *", "0 0 L * *", "0 0 L 4 *"]
    forms = [CronExpression(text).canonical for text in texts]
    assert forms == ["0 0 30 4 *", "0 0 L 2 *", "0 0 31 1 *", "0 0 L * *", "0 0 30 4 *"]
