"""`aioq demo`, on a virtual clock: what it shows, and when it fails."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest

from aioq.cli.demo.app import Demo, DemoReport
from aioq.testing import VirtualClock


async def test_ten_seconds_hold_all_that_was_promised() -> None:
    """Ten ticks, five jobs, two retries and a delay happen, each at its time."""
    clock = VirtualClock()
    told: list[tuple[float, str, str]] = []
    play = Demo(lambda kind, name, text: told.append((clock.monotonic() - 0.5, kind, name)), clock=clock)
    async with anyio.create_task_group() as tg:
        tg.start_soon(play.perform, 10.0)
        await clock.advance(11)
    assert list(play.score.faults()) == []
    assert [moment for moment, kind, _ in told if kind == "cron"] == [second + 0.5 for second in range(10)]
    assert [moment for moment, *what in told if what == ["job", "fetch"]] == pytest.approx([0, 1, 2], abs=0.01)
    assert [moment for moment, *what in told if what == ["job", "remind"]] == pytest.approx([3], abs=0.01)
    assert dict(play.score.lines())["cron runs"] == "10 of 10 that were due, at most 0.0 ms late"


def unheard(kind: str, name: str, text: str) -> None:
    """Take no notice."""


def test_the_documented_crons_are_those_of_the_documentation() -> None:
    """The demo shows the three crons that the page on crons has as its example."""
    shown = [(entry.name, entry.expression, entry.queue) for entry in Demo(unheard).documented]
    assert shown == [
        ("cleanup_old_jobs", "*/5 * * * *", "default"),
        ("send_daily_report", "0 9 * * 1-5", "reports"),
        ("monthly_summary", "0 0 1 * *", "default"),
    ]


def good() -> DemoReport:
    """Return the score of a demo in which all went well."""
    tick = datetime(2026, 1, 1, tzinfo=UTC)
    return DemoReport(jobs=5, retries=2, due=1, ticks={tick: [0.001]}, completed=5, failed_attempts=2, delayed=[0.001])


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("due", 2, "2 cron runs were due and 1 came"),
        ("ticks", {datetime(2026, 1, 1, tzinfo=UTC): [0.001, 0.002]}, "a cron run came twice"),
        ("delayed", [-0.2], "something ran before its time"),
        ("delayed", [], "the delayed job ran 0 times"),
        ("completed", 4, "1 jobs did not complete"),
        ("failed_attempts", 1, "1 attempts failed, not 2"),
    ],
)
def test_what_did_not_happen_is_a_fault(field: str, value: object, fault: str) -> None:
    """The demo does not call itself a success when something is missing."""
    score = good()
    assert list(score.faults()) == []
    setattr(score, field, value)
    assert list(score.faults()) == [fault]
