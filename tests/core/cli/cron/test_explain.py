"""`aioq cron explain`: what an expression means, and what clock changes do to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from zoneinfo import ZoneInfo

import pytest

from aioq.cli.cron.preview import explain_schedule, lines
from aioq.cron.schedule import ExplainedSchedule
from aioq.discovery import scheduler_named
from tests.core.cli.conftest import Project

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def text_of(expression: str, tz: str, columns: int = 100) -> str:
    """Return what is shown on New Year's Day of 2026."""
    schedule = scheduler_named("cron").parse(expression, tz=tz)
    assert isinstance(schedule, ExplainedSchedule)
    explained = explain_schedule(NEW_YEAR, schedule, expression=expression, zone=ZoneInfo(tz), count=2)
    return "\n".join(lines(explained, columns))


def test_both_transition_days_are_named_with_what_happens() -> None:
    """An expression in the middle of the night meets a gap and a repeat."""
    assert text_of("30 2 * * *", "Europe/Berlin") == (
        '"30 2 * * *" in Europe/Berlin fires at 02:30 every day.\n'
        "\n"
        "Next runs:\n"
        "  Europe/Berlin               UTC\n"
        "  Thu 2026-01-01 02:30+01:00  Thu 2026-01-01 01:30+00:00\n"
        "  Fri 2026-01-02 02:30+01:00  Fri 2026-01-02 01:30+00:00\n"
        "\n"
        "Clock changes of Europe/Berlin until 2027-01-01:\n"
        "  Sun 2026-03-29: clocks go forward from 02:00 to 03:00\n"
        "    02:30 does not exist: fires once at 03:00+02:00 instead\n"
        "  Sun 2026-10-25: clocks go back from 03:00 to 02:00\n"
        "    02:30 comes twice: fires in the first pass only, at 02:30+02:00"
    )


def test_a_zone_without_clock_changes_says_so() -> None:
    """There is nothing to list."""
    assert text_of("0 9 * * 1-5", "Asia/Tokyo").splitlines()[-1] == (
        "No clock change of Asia/Tokyo until 2027-01-01 touches it."
    )


def test_a_change_at_another_time_of_day_does_nothing() -> None:
    """It is listed all the same: whoever looks for it finds it."""
    assert text_of("0 9 * * 1-5", "Europe/Berlin").count("\n    nothing is due in that time") == 2


def test_a_narrow_terminal_gets_lines_that_fit() -> None:
    """Long sentences are wrapped, and indented below their beginning."""
    text = text_of("7,11,19,23,29,31,37 1-4,9-12 * 1-6 *", "Europe/Berlin", 80)
    assert max(map(len, text.splitlines())) <= 80


def test_by_the_command(project: Project) -> None:
    """The command starts now, and shows three runs."""
    outcome = project.aioq("cron", "explain", "30", "2", "*", "*", "*", "--tz", "Europe/Berlin")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith('"30 2 * * *" in Europe/Berlin fires at 02:30 every day.\n')
    assert outcome.out.count(" 02:30+0") + outcome.out.count(" 03:00+02:00  ") == 3 + 1
    assert "02:30 does not exist: fires once at 03:00+02:00 instead" in outcome.out


def test_for_programs_it_is_json(project: Project) -> None:
    """`--json` has words, runs and clock changes; wall times without, and moments with an offset."""
    outcome = project.aioq("cron", "explain", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "1", "--json")
    explained = json.loads(outcome.out)
    assert list(explained) == ["expression", "tz", "words", "next", "clock_changes_until", "clock_changes"]
    assert (explained["expression"], explained["tz"]) == ("30 2 * * *", "Europe/Berlin")
    assert explained["words"] == "at 02:30 every day"
    assert len(explained["next"]) == 1
    (gap,) = [change for change in explained["clock_changes"] if change["kind"] == "gap"]
    assert set(gap) == {"at", "kind", "start", "end", "touches", "runs", "effect"}
    assert (gap["start"][10:], gap["end"][10:], gap["touches"]) == ("T02:00:00", "T03:00:00", True)
    assert [run[10:] for run in gap["runs"]] == ["T03:00:00+02:00"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["60 * * * *"], 'minute field: 60 is outside 0-59, in "60 * * * *"'),
        (["* * * * *", "-n", "0"], "cron explain: -n must be between 1 and 10,000, got 0"),
    ],
)
def test_what_is_wrong_is_one_line(project: Project, argv: list[str], said: str) -> None:
    """As `cron next` has it."""
    assert project.aioq("cron", "explain", *argv) == (2, "", f"aioq: {said}\n")


def test_a_scheduler_that_cannot_explain_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third party's schedule may have `next_after` and no more."""
    point = EntryPoint("cron", "tests.core.plain_scheduler:PlainScheduler", "aioq.schedulers")
    monkeypatch.setattr("aioq.discovery.entry_points", lambda **_: [point])
    outcome = project.aioq("cron", "explain", "every 5")
    assert (outcome.code, outcome.out) == (78, "")
    assert outcome.err == (
        "aioq: cron explain: the installed scheduler gives EverySeconds, which cannot say itself in words; "
        "aioq cron next shows when it fires\n"
    )
