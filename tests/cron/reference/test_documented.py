"""Expressions as the documentation of each system has them, with ticks that were counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from aioq_cron import CronExpression, InvalidCronExpression
from tests.cron.reference.dialects import DIALECTS

START = datetime(2026, 1, 1, tzinfo=UTC)
"""A Thursday."""

TICKS = {
    "cron": {
        "0 0 13 * FRI": "01-02 01-09 01-13",
        "0 0 */2 * 1": "01-05 01-19 02-09",
        "0 0 */100,1-7 * MON": "01-05 02-02 03-02",
        "0 22-2 * * *": "01-01T01:00 01-01T02:00 01-01T22:00",
        "0 0 * * FRI-MON": "01-02 01-03 01-04",
        "0 0 1 NOV-FEB *": "02-01 11-01 12-01",
        "0 0 28-2 * *": "01-02 01-28 01-29",
    },
    "seconds first": {
        "*/20 * * * * *": "01-01T00:00:20 01-01T00:00:40 01-01T00:01",
        "30 0 9 * * 1": "01-05T09:00:30 01-12T09:00:30 01-19T09:00:30",
    },
    "seconds last": {
        "* * * * * */20": "01-01T00:00:20 01-01T00:00:40 01-01T00:01",
        "0 9 * * 1 30": "01-05T09:00:30 01-12T09:00:30 01-19T09:00:30",
    },
    "quartz": {
        "0 0 12 * * ?": "01-01T12:00 01-02T12:00 01-03T12:00",
        "5/15 * * * * ?": "01-01T00:00:05 01-01T00:00:20 01-01T00:00:35",
        "0 15 10 ? * MON-FRI": "01-01T10:15 01-02T10:15 01-05T10:15",
        "0 10,44 14 ? 3 WED": "03-04T14:10 03-04T14:44 03-11T14:10",
        "0 0 12 1/5 * ?": "01-01T12:00 01-06T12:00 01-11T12:00",
        "0 15 10 L * ?": "01-31T10:15 02-28T10:15 03-31T10:15",
        "0 15 10 L-2 * ?": "01-29T10:15 02-26T10:15 03-29T10:15",
        "0 15 10 ? * 6L": "01-30T10:15 02-27T10:15 03-27T10:15",
        "0 15 10 ? * 6#3": "01-16T10:15 02-20T10:15 03-20T10:15",
        "0 0 0 ? * 2#1": "01-05 02-02 03-02",
        "0 0 0 15W * ?": "01-15 02-16 03-16",
        "0 0 0 1W 8 ?": "08-03 2027-08-02 2028-08-01",
        "0 0 0 LW * ?": "01-30 02-27 03-31",
        "0 0 0 ? * L": "01-03 01-10 01-17",
        "0 0 0 ? * 1": "01-04 01-11 01-18",
        "0 0 0 ? * FRI-MON": "01-02 01-03 01-04",
        "0 0 22-2 ? * *": "01-01T01:00 01-01T02:00 01-01T22:00",
        "0 15 10 ? * 6L 2027-2028": "2027-01-29T10:15 2027-02-26T10:15 2027-03-26T10:15",
        "0 15 10 ? * * 2005": "",
        "0 0 0 1 1 ? 2020/4": "2028-01-01 2032-01-01 2036-01-01",
    },
    "aws": {
        "0/15 * * * ? *": "01-01T00:15 01-01T00:30 01-01T00:45",
        "0 18 ? * MON-FRI *": "01-01T18:00 01-02T18:00 01-05T18:00",
        "0 8 1 * ? *": "01-01T08:00 02-01T08:00 03-01T08:00",
        "0 9 ? * 2#1 *": "01-05T09:00 02-02T09:00 03-02T09:00",
        "0 0 ? * 3#2 *": "01-13 02-10 03-10",
        "0 0 3W * ? *": "01-02 02-03 03-03",
        "0 0 L * ? *": "01-31 02-28 03-31",
        "0 0 ? * 1 *": "01-04 01-11 01-18",
        "15 10 ? * 6L 2022-2023": "",
        "0 0 1 1 ? 2030": "2030-01-01",
    },
    "croniter": {
        "2 4 * * mon,fri": "01-02T04:02 01-05T04:02 01-09T04:02",
        "2 4 1 * wed": "01-01T04:02 01-07T04:02 01-14T04:02",
        "0 0 */2 * 1": "01-03 01-05 01-07",
        "0 0 * * sat#1,sun#2": "01-03 01-11 02-07",
        "0 0 * * 5#3,L5": "01-16 01-30 02-20",
        "0 0 l * *": "01-31 02-28 03-31",
        "0 9 W15 * *": "01-15T09:00 02-16T09:00 03-16T09:00",
        "* * * * * 15,25": "01-01T00:00:15 01-01T00:00:25 01-01T00:01:15",
        "0 0 1 1 * 0 2020/2": "2028-01-01 2030-01-01 2032-01-01",
        "0 0 * * 1/2": "01-02 01-05 01-07",
    },
    "jenkins": {
        "45 9-16/2 * * 1-5": "01-01T09:45 01-01T11:45 01-01T13:45",
        "0 0 1 * 0": "02-01 03-01 11-01",
        "0 0 1 * 7": "02-01 03-01 11-01",
        "0 0 */3 * *": "01-04 01-07 01-10",
    },
    "spring": {
        "0 0/30 8-10 * * *": "01-01T08:00 01-01T08:30 01-01T09:00",
        "0 0 0 25 12 ?": "12-25 2027-12-25 2028-12-25",
        "0 0 0 L-3 * *": "01-28 02-25 03-28",
        "0 0 0 1W * *": "02-02 03-02 04-01",
        "0 0 0 LW * *": "01-30 02-27 03-31",
        "0 0 0 * * 5L": "01-30 02-27 03-27",
        "0 0 0 * * THUL": "01-29 02-26 03-26",
        "0 0 0 ? * 5#2": "01-09 02-13 03-13",
        "0 0 0 ? * MON#1": "01-05 02-02 03-02",
        "0 0 0 13 * FRI": "02-13 03-13 11-13",
        "0 0 0 * * */2": "01-02 01-04 01-05",
        "0 0 0 * * 0/2": "01-03 01-04 01-06",
        "0 0 0 * * 7": "01-04 01-11 01-18",
        "0 0 0 * * SAT-SUN": "01-03 01-04 01-10",
        "@hourly": "01-01T01:00 01-01T02:00 01-01T03:00",
        "@midnight": "01-02 01-03 01-04",
        "@weekly": "01-04 01-11 01-18",
        "@monthly": "02-01 03-01 04-01",
        "@annually": "2027-01-01 2028-01-01 2029-01-01",
    },
}
"""The first ticks after the start, by dialect and expression; without a year they are in 2026."""

REFUSED = {
    "quartz": {
        "0 0 12 * * *": "exactly one",
        "0 0 12 ? * ?": "exactly one",
        "0 0 12 1 * MON": "exactly one",
        "0 0 12 * *": "expected 6 or 7 fields",
        "0 0 0 ? * 0": "0 is outside 1-7",
        "@daily": "nickname",
    },
    "aws": {
        "0 10 * * * *": "exactly one",
        "0 10 ? * ? *": "exactly one",
        "0 10 * * ?": "expected 6 fields",
        "0 0 ? * 0 *": "0 is outside 1-7",
    },
    "jenkins": {"0 0 * * * *": "expected 5 fields"},
    "spring": {
        "0 0 * * *": "expected 6 fields",
        "0 0 0 * * FRI-MON": "runs backwards",
    },
}
"""Parts of the errors for texts that the system itself refuses."""


def moment(text: str) -> datetime:
    """Return a tick of the table as a datetime."""
    return datetime.fromisoformat(text if text[:2] == "20" else f"2026-{text}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("dialect", "text", "ticks"), [(name, *row) for name, rows in TICKS.items() for row in rows.items()]
)
def test_documented_expression_has_its_ticks(dialect: str, text: str, ticks: str) -> None:
    """An example of the documentation fires when the documentation says so."""
    expression = CronExpression(text, **DIALECTS[dialect].options)
    expected = [moment(tick) for tick in ticks.split()]
    assert list(islice(expression.occurrences(START), 3)) == expected


@pytest.mark.parametrize(
    ("dialect", "text", "error"), [(name, *row) for name, rows in REFUSED.items() for row in rows.items()]
)
def test_refused_expression_is_refused(dialect: str, text: str, error: str) -> None:
    """A text that the system refuses is no expression of its dialect."""
    with pytest.raises(InvalidCronExpression, match=error):
        CronExpression(text, **DIALECTS[dialect].options)
