"""The demo on a virtual clock: its events and its faults."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest

from aioq.cli.demo.app import Demo, DemoReport
from aioq.testing import VirtualClock


async def test_demo_ten_seconds_run_all_events_in_time() -> None:
    """Ten ticks, five jobs, two retries and a delay happen, each at its time, and the demo ends after its ten seconds."""
    clock = VirtualClock()
    events: list[tuple[float, str, str]] = []
    demo = Demo(lambda kind, name, text: events.append((clock.monotonic() - 0.5, kind, name)), clock=clock)
    ended: list[float] = []

    async def run() -> None:
        await demo.run(10.0)
        ended.append(clock.monotonic() - 0.5)

    async with anyio.create_task_group() as tg:
        tg.start_soon(run)
        await clock.advance(11)
    assert ended == pytest.approx([10], abs=0.01)
    assert list(demo.report.faults()) == []
    assert [time for time, kind, _ in events if kind == "cron"] == [second + 0.5 for second in range(10)]
    assert [time for time, *what in events if what == ["job", "fetch"]] == pytest.approx([0, 1, 2], abs=0.01)
    assert [time for time, *what in events if what == ["job", "remind"]] == pytest.approx([3], abs=0.01)
    assert dict(demo.report.lines())["cron runs"] == "10 of 10 due, at most 0.0 ms late"


def ignore(kind: str, name: str, text: str) -> None:
    """Do nothing."""


def test_demo_shows_crons_of_the_documentation() -> None:
    """The demo shows the three crons of the example in docs/cron.md."""
    shown = [(entry.name, entry.expression, entry.queue) for entry in Demo(ignore).documented_crons]
    assert shown == [
        ("cleanup_old_jobs", "*/5 * * * *", "default"),
        ("send_daily_report", "0 9 * * 1-5", "reports"),
        ("monthly_summary", "0 0 1 * *", "default"),
    ]


def successful() -> DemoReport:
    """Return the report of a demo without faults."""
    tick = datetime(2026, 1, 1, tzinfo=UTC)
    return DemoReport(jobs=5, retries=2, due=1, ticks={tick: [0.001]}, completed=5, failed_attempts=2, delayed=[0.001])


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("due", 2, "2 cron runs were due and 1 happened"),
        ("ticks", {datetime(2026, 1, 1, tzinfo=UTC): [0.001, 0.002]}, "a tick fired twice"),
        ("delayed", [-0.2], "a run started before its time"),
        ("delayed", [], "the delayed job ran 0 times"),
        ("completed", 4, "1 jobs did not complete"),
        ("failed_attempts", 1, "1 attempts failed, not 2"),
    ],
)
def test_demo_report_names_faults(field: str, value: object, fault: str) -> None:
    """The demo fails if anything is missing."""
    report = successful()
    assert list(report.faults()) == []
    setattr(report, field, value)
    assert list(report.faults()) == [fault]
