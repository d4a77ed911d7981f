"""The pictures of docs/cron-policies.md match the decisions of the code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioq.cron import CronEntry, CronOptions
from aioq.cron.entry import jitter_of
from aioq.cron.misfire import decide
from aioq_cron import Every
from tests.docs.fences import ROOT, fences

PAGE = ROOT / "docs" / "cron-policies.md"
START = datetime(2026, 1, 1, tzinfo=UTC)


def pictures(unit: str) -> Iterator[list[str]]:
    """Yield the lines of the pictures with this unit of time, without the lines of numbers."""
    for fence in fences(PAGE):
        if fence.body.startswith(unit):
            head, *lines = fence.body.splitlines()
            margin = head.index("0")
            yield [f"{line[:margin]:<{margin}}{line[margin:]}" for line in lines if line]


def drawn(stop: str, ticks: str, interval: timedelta, **options: Any) -> str:
    """Return the runs of a row, from the rows of the stop and of the schedule; a tick is ten columns long."""
    entry = CronEntry(name="n", function=drawn, schedule=Every(interval), options=CronOptions(**options))
    asleep = range(stop.index("#"), stop.rindex("#") + 1)
    columns = [column for column, mark in enumerate(ticks) if mark == "|"]
    runs = dict.fromkeys((column for column in columns if column not in asleep), 1)
    late = [column for column in columns if column in asleep]
    if late:
        moments = [START + column * interval / 10 for column in (late[0], late[-1], asleep.stop)]
        runs |= {asleep.stop: len(decide(entry, *moments).fire)}
    return "".join(
        f"{'o' * runs[column]:<{end - column}}"
        for column, end in zip(sorted(runs), [*sorted(runs)[1:], len(ticks) + 9], strict=True)
    ).rstrip()


@pytest.mark.parametrize("misfire", ["once", "skip", "all"])
def test_misfire_picture_matches_policies(misfire: str) -> None:
    """Each row has a run where its policy fires one."""
    schedule, stop, *rows = next(pictures("minutes     0         1         2         3         4"))
    (row,) = [row for row in rows if row.startswith(misfire)]
    assert row[12:] == drawn(stop[12:], schedule[12:], timedelta(minutes=1), misfire=misfire)


def test_grace_picture_matches_the_grace() -> None:
    """A tick within its grace fires after the stop, and an older one does not."""
    schedule, *rows = list(pictures("minutes     0"))[1]
    assert [row.split()[0] for row in rows] == ["stopped", "skip"] * 2
    for stop, row in zip(rows[::2], rows[1::2], strict=True):
        assert row[12:] == drawn(stop[12:], schedule[12:], timedelta(minutes=1), misfire="skip", grace=30)


@pytest.mark.parametrize(
    ("label", "options"),
    [
        ("once, catchup=7200", {"misfire": "once", "catchup": 7200}),
        ("all,  catchup=7200", {"misfire": "all", "catchup": 7200}),
        ("all,  catchup=86400", {"misfire": "all", "catchup": 86400}),
    ],
)
def test_catchup_picture_matches_the_limits(label: str, options: dict[str, Any]) -> None:
    """Each row fires the ticks that are not too old."""
    schedule, stop, *rows = next(pictures("hours"))
    (row,) = [row for row in rows if row.startswith(f"{label} ")]
    assert row[21:] == drawn(stop[21:], schedule[21:], timedelta(hours=1), **options)


def test_jitter_picture_matches_an_entry() -> None:
    """The row is that of an entry named `refresh` in the first minutes of 2026."""
    entry = CronEntry(
        name="refresh", function=drawn, schedule=Every(timedelta(minutes=1)), options=CronOptions(jitter=30)
    )
    (row,) = [row for lines in pictures("minutes") for row in lines if row.startswith("jitter=30")]
    late = [jitter_of(entry, START + timedelta(minutes=minute)).total_seconds() for minute in range(6)]
    assert [column for column, mark in enumerate(row[12:]) if mark == "o"] == [
        10 * minute + int(seconds / 6) for minute, seconds in enumerate(late)
    ]
