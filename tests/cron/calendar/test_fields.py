"""The canonical text of an expression: one for all ways to write it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq import Aarq, CronContext
from aioq.cron import CronEntry
from aioq.cron.definition import compare, define, version_of
from aioq_cron import CronExpression, Except, Union
from aioq_cron.errors import InvalidCronExpression
from aioq_cron.expression.canonical import canonical_text
from aioq_cron.expression.parser import parse_fields

START = datetime(2027, 1, 1, tzinfo=UTC)


def canonical(text: str) -> str:
    """Return the canonical form of an expression."""
    return canonical_text(parse_fields(text))


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (("@daily", "@MIDNIGHT", "0 0 * * *", "00  00 * * *", "0 0 */1 1-12 *"), "0 0 * * *"),
        (("0 9 * * mon", "0 9 * * MON", "0 9 * * 1", "0 9 * * 1-1"), "0 9 * * 1"),
        (("0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "@weekly"), "0 0 * * 0"),
        (("0 0 1 jan,feb,mar *", "0 0 1 3,1,2 *", "0 0 1 1-3 *"), "0 0 1 1-3 *"),
        (("*/15 * * * *", "*/15,30 * * * *"), "0,15,30,45 * * * *"),
        (("*/15 9 * * *", "*/15,30 9-9 * * *"), "*/15 9 * * *"),
        (("0,15,30,45 9 * * *", "0-45/15 9 * * *"), "0,15,30,45 9 * * *"),
        (("0 0 */100,1-7 * MON", "0 0 */31,1,2-7 * 1"), "0 0 */31,1-7 * 1"),
        (("0 0 1-7 * MON",), "0 0 1-7 * 1"),
        (("0 0 */2 * 1",), "0 0 */2 * 1"),
        (("0 0 13 * */2",), "0 0 13 * */2"),
        (("0 0 1-31 * 1", "0 0 13 * 0-6", "0 0 * * *"), "0 0 * * *"),
        (("0-59 0-23 * * *",), "0-59 0-23 * * *"),
        (("0-59 * * * *", "* * * * *", "*/1 0-23 * * *"), "* * * * *"),
    ],
)
def test_canonical_is_one_text_for_each_meaning(texts: tuple[str, ...], form: str) -> None:
    """Nicknames, names, leading zeros, lists and ranges have no effect; a star that changes the meaning stays."""
    assert {canonical(text) for text in texts} == {form}


numbers = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> str:
    """Draw a field of an expression."""
    number = st.integers(low, high)
    pair = st.tuples(number, number).map(sorted)
    step = st.integers(1, high - low).map(lambda n: f"/{n}") | st.just("")
    item = st.one_of(
        step.map(lambda text: f"*{text}"),
        number.map(str),
        st.builds(lambda ends, n: f"{ends[0]}-{ends[1]}{n}", pair, step),
    )
    return ",".join(draw(st.lists(item, min_size=1, max_size=3)))


expressions = st.tuples(*(fields(*bounds) for bounds in numbers.values())).map(" ".join)


@given(expressions)
def test_canonical_means_the_same(text: str) -> None:
    """The canonical form is an expression with the same ticks, also where clocks change, and is its own canonical form."""
    try:
        original = CronExpression(text, "Europe/Berlin")
    except InvalidCronExpression:
        return
    form = CronExpression(original.canonical, "Europe/Berlin")
    assert form.canonical == original.canonical
    assert form == original
    assert hash(form) == hash(original)
    assert list(islice(form.occurrences(START), 40)) == list(islice(original.occurrences(START), 40))
    end = datetime(2028, 1, 1, tzinfo=UTC)
    assert form.clock_changes(START, end) == original.clock_changes(START, end)


def test_canonical_union_ignores_order_and_repetitions() -> None:
    """Parts in another order, or given twice, are the same union; another zone is not."""
    daily, weekly = CronExpression("@daily"), CronExpression("0 9 * * mon")
    same = Union(weekly, CronExpression("0 0 * * *"), daily)
    assert Union(daily, weekly).canonical == same.canonical == "(0 0 * * * [UTC]) and (0 9 * * 1 [UTC])"
    assert Union(CronExpression("@daily", "Asia/Tokyo"), weekly).canonical != same.canonical


def test_canonical_except_has_both_parts() -> None:
    """A schedule, and the excluded ticks or dates, each in canonical form."""
    daily = CronExpression("@daily")
    assert Except(daily, CronExpression("0 0 * * sun")).canonical == "(0 0 * * * [UTC]) except (0 0 * * 0 [UTC])"
    assert Except(daily, {START.date()}).canonical == "(0 0 * * * [UTC]) except 2027-01-01 [UTC]"


def test_entries_with_rewritten_expressions_are_unchanged() -> None:
    """A cosmetic edit of an entry changes neither its fingerprint nor the version of its app."""
    definitions = [
        [define(_entry_of(text)) for text in texts]
        for texts in (("@daily", "0 0 * * mon"), ("00 0 * * *", "0 0 * * 1"), ("0 0 */1 * *", "0 0 * * MON"))
    ]
    assert not compare(definitions[0], definitions[1])
    assert len({version_of(each) for each in definitions}) == 1


def _entry_of(expression: str) -> CronEntry:
    app = Aarq(name="shop")

    @app.cron(
        expression, name="daily" if expression.endswith(("y", "*")) else "weekly", tz="Europe/Berlin", unique=True
    )
    async def report(ctx: CronContext) -> None: ...

    return next(iter(app.crons))
