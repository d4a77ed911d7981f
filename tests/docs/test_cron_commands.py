"""docs/cli.md shows the real output of commands that depends on the day or on earlier ticks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.cli.cron.diff import NextRunFinder, diff_lines
from aioq.cli.cron.history import history_table
from aioq.cli.cron.preview import explain_schedule, explanation_lines
from aioq.cron.definition import compare, define
from aioq.cron.schedule import ExplainedSchedule
from aioq.discovery import scheduler_named
from aioq.model.cron import TickRecord, TickStatus
from tests.docs.fences import ROOT

BERLIN = ZoneInfo("Europe/Berlin")


def is_shown(text: str, *, more: str = "") -> bool:
    """Return whether the page has this text in a fence of its own, followed by `more`."""
    return f"```text\n{text}\n{more}```" in (ROOT / "docs" / "cli.md").read_text()


def test_cli_page_shows_explain_output() -> None:
    """The page shows the output of `explain` on 1 January 2026, with the next clock changes."""
    schedule = scheduler_named("cron").parse("30 2 * * *", tz="Europe/Berlin")
    assert isinstance(schedule, ExplainedSchedule)
    explained = explain_schedule(
        datetime(2026, 1, 1, tzinfo=UTC), schedule, expression="30 2 * * *", zone=BERLIN, count=3
    )  # fmt: skip
    assert is_shown("\n".join(explanation_lines(explained, 80)))


def test_cli_page_shows_history_output() -> None:
    """The page shows the output of `history` for an entry with records of many kinds."""

    def record(tick: datetime, status: TickStatus, late: float = 0.0, took: float = 0.0, **facts: Any) -> TickRecord:
        at = tick.replace(tzinfo=BERLIN).timestamp()
        fired = at + late if took else None
        finished = at + late + took if took else None
        return TickRecord(
            name="shop.clean_up", queue="default", tick=at, status=status, fired_at=fired, finished_at=finished, **facts
        )

    by_hand, worker = "by-hand-ada@laptop", "web-1-4711-5e0c8a"
    records = [
        record(datetime(2026, 1, 5, 12, 0, 0, 123_000), TickStatus.OK, 0.0, 0.31, worker_id=by_hand, reason="by hand"),
        record(datetime(2026, 1, 1, 4), TickStatus.FAILED, 0.02, 14.0, worker_id=worker, error="OSError: disk full"),
        record(datetime(2025, 12, 1, 4), TickStatus.SKIPPED, reason="paused"),
        record(datetime(2025, 11, 1, 4), TickStatus.MISSED, reason="no worker was up"),
    ]
    assert is_shown(history_table(records, BERLIN).text())


def test_cli_page_shows_diff_output() -> None:
    """The page shows the output of `diff` after an entry moved by an hour."""

    def version(expression: str) -> Aarq:
        app = Aarq(MemoryBroker(), tz="Europe/Berlin")
        app.cron(expression, name="report")(send)
        return app

    async def send(ctx: object) -> None: ...

    before, after = version("30 9 * * 1-5"), version("30 10 * * 1-5")
    changes = compare([define(entry) for entry in before.crons], [define(entry) for entry in after.crons])
    text = "\n".join(diff_lines(changes, NextRunFinder(after, datetime(2026, 1, 5, 12, tzinfo=UTC))))
    assert is_shown(text, more="a deploy of shop would add 0, change 1 and retire 0 entries, and leave 1 unchanged\n")
