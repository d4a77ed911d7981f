"""The tables of docs/cron.md match the code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time
from itertools import takewhile

import pytest

from aioq_cron import CronExpression
from tests.docs.fences import ROOT

PAGE = (ROOT / "docs" / "cron.md").read_text()
ZONE = "Europe/Berlin"
NIGHTS = {
    "29 March, 01:00 to 04:00": ("2026-03-29T00:59:59+01:00", time(4)),
    "25 October, 02:00 to 03:30": ("2026-10-25T01:59:59+02:00", time(3, 30)),
}


def rows(heading: str) -> Iterator[dict[str, str]]:
    """Yield the rows of the table whose first line begins with a text."""
    lines = PAGE[PAGE.index(heading) :].splitlines()
    names = cells(lines[0])
    for line in takewhile(lambda line: line.startswith("|"), lines[2:]):
        yield dict(zip(names, cells(line), strict=True))


def cells(line: str) -> list[str]:
    """Return the cells of a row."""
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def test_clock_change_table_has_the_runs() -> None:
    """Each row of the table has all runs of both nights, in order."""
    table = list(rows("| expression | 29 March"))
    assert len(table) > 5
    for row in table:
        assert row == {"expression": row["expression"], **{night: runs(row["expression"], night) for night in NIGHTS}}


def runs(expression: str, night: str) -> str:
    """Return the runs of one night, in the form of the table."""
    schedule, (start, end) = CronExpression(expression, ZONE), NIGHTS[night]
    first = datetime.fromisoformat(start)
    seen = (moment.astimezone(schedule.tz) for moment in schedule.occurrences(first))
    tonight = takewhile(lambda moment: moment.date() == first.date() and moment.time() <= end, seen)
    return ", ".join(f"{moment:%H:%M%z}"[:-2] for moment in tonight) or "none"


@pytest.mark.parametrize("row", list(rows("| expression | when |")), ids=lambda row: row["expression"])
def test_example_table_has_valid_expressions(row: dict[str, str]) -> None:
    """Each expression in the table of examples is valid."""
    assert CronExpression(row["expression"]).expression == row["expression"]


@pytest.mark.parametrize(
    "row", list(rows("| expression | when |\n| --- | --- |\n| `0 18 L")), ids=lambda row: row["expression"]
)
def test_day_table_has_words(row: dict[str, str]) -> None:
    """Each row of the table of last, nearest and nth days has the words of the expression."""
    assert CronExpression(row["expression"]).in_words() == row["when"]


def test_first_monday_idiom() -> None:
    """The expression for the first Monday matches the first Mondays of a year and no other day."""
    schedule = CronExpression("0 0 */100,1-7 * MON")
    found = takewhile(
        lambda moment: moment.year == 2026, schedule.occurrences(datetime.fromisoformat("2026-01-01T00Z"))
    )
    days = [(moment.month, moment.day, moment.weekday()) for moment in found]
    assert [month for month, _, _ in days] == list(range(1, 13))
    assert all(day <= 7 and weekday == 0 for _, day, weekday in days)
