"""What docs/cli.md shows of `aioq cron explain` is what it said on New Year's Eve."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from aioq.cli.cron.explain import explained_at, lines
from aioq.discovery import scheduler_named
from aioq.protocols import ExplainedSchedule
from tests.docs.fences import ROOT


def test_the_explanation_is_the_one_that_is_shown() -> None:
    """The command names the next clock changes, so its output is compared as of one day."""
    schedule = scheduler_named("cron").parse("30 2 * * *", tz="Europe/Berlin")
    assert isinstance(schedule, ExplainedSchedule)
    explained = explained_at(
        datetime(2026, 1, 1, tzinfo=UTC), schedule, expression="30 2 * * *", zone=ZoneInfo("Europe/Berlin"), count=3
    )
    text = "\n".join(lines(explained, 80))
    assert f"```text\n{text}\n```" in (ROOT / "docs" / "cli.md").read_text()
