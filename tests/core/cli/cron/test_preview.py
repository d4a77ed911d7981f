"""`aioq cron next` and `aioq cron explain`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from aioq.cli.cron.preview import explain_schedule, explanation_lines
from aioq.cron.schedule import ExplainedSchedule
from aioq.discovery import scheduler_named
from tests.core.cli.conftest import Project

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def test_next_shows_runs_in_zone_and_utc(project: Project) -> None:
    """`cron next` shows each run in the zone, with its offset, and in UTC."""
    outcome = project.aioq("cron", "next", "0 9 * * 1-5", "-n", "7", "--tz", "Asia/Kolkata")
    title, *lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert title.split() == ["Asia/Kolkata", "UTC"]
    assert len(lines) == 7
    assert all(line[14:26] == " 09:00+05:30" and line.endswith(" 03:30+00:00") for line in lines)
    assert not any(line.startswith(("Sat", "Sun")) for line in lines)


def test_next_without_zone_uses_utc(project: Project) -> None:
    """`cron next` shows five runs in UTC by default."""
    title, *lines = project.aioq("cron", "next", "*/5 * * * *").out.splitlines()
    moments = [datetime.fromisoformat(line[4:]) for line in lines]
    assert title == "UTC"
    assert [later - earlier for earlier, later in pairwise(moments)] == [timedelta(minutes=5)] * 4
    assert moments[0] - datetime.now(UTC) <= timedelta(minutes=5)


def test_next_json_has_zone_and_utc(project: Project) -> None:
    """`cron next --json` prints each run in the zone and in UTC."""
    outcome = project.aioq("cron", "next", "30 2 * * *", "-n", "2", "--tz", "America/New_York", "--json")
    runs = json.loads(outcome.out)
    assert [set(run) for run in runs] == [{"at", "utc"}] * 2
    for run in runs:
        at = datetime.fromisoformat(run["at"])
        assert at == datetime.fromisoformat(run["utc"])
        assert at.utcoffset() == at.astimezone(ZoneInfo("America/New_York")).utcoffset()


def test_next_accepts_expression_without_quotes(project: Project) -> None:
    """An expression without stars needs no quotes."""
    assert project.aioq("cron", "next", "0", "9", "1", "1", "mon").code == 0


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["60 * * * *"], 'minute field: 60 is outside 0-59, in "60 * * * *"'),
        (
            ["* * * * *", "--tz", "Europe/Berln"],
            "tz 'Europe/Berln' is not a known time zone; did you mean 'Europe/Berlin'?",
        ),
        (["0 0 31 2 *"], '"0 0 31 2 *" never matches'),
        (["a.py", "b.py", "0", "1", "*"], "; put the expression in quotes, or the shell expands its stars\n"),
    ],
)
def test_next_invalid_expression_prints_parser_error(project: Project, argv: list[str], text: str) -> None:
    """The parser's error is the only line, and the exit code is 2."""
    outcome = project.aioq("cron", "next", *argv)
    assert (outcome.code, outcome.out) == (2, "")
    assert text in outcome.err
    assert outcome.err.count("\n") == 1


NEEDS_CRON = """
    from aioq import Aarq
    from aioq.backends.memory import MemoryBroker

    app = Aarq(MemoryBroker())

    @app.cron("* * * * *")
    async def beat(ctx): ...
"""


def no_entry_points(**_: str) -> list[EntryPoint]:
    """Return no entry point, as if no_entry_points was installed."""
    return []


@pytest.mark.parametrize("argv", [["cron", "next", "* * * * *"], ["demo"], ["cron", "list", "tasks"]])
def test_commands_without_aioq_cron_say_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    """Commands that need aioq-cron print the pip command and exit with 78."""
    project.write("tasks.py", NEEDS_CRON)
    monkeypatch.setattr("aioq.discovery.entry_points", no_entry_points)
    outcome = project.aioq(*argv)
    assert (outcome.code, outcome.out) == (78, "")
    assert 'cron expressions need the aioq-cron distribution; run: pip install "aioq[cron]"' in outcome.err


def explanation(expression: str, tz: str, columns: int = 100) -> str:
    """Return the explanation of an expression on New Year's Day of 2026."""
    schedule = scheduler_named("cron").parse(expression, tz=tz)
    assert isinstance(schedule, ExplainedSchedule)
    explained = explain_schedule(NEW_YEAR, schedule, expression=expression, zone=ZoneInfo(tz), count=2)
    return "\n".join(explanation_lines(explained, columns))


def test_explain_names_effect_of_both_clock_changes() -> None:
    """A run at night falls into the gap in spring and into the repeated hour in autumn."""
    assert explanation("30 2 * * *", "Europe/Berlin") == (
        '"30 2 * * *" in Europe/Berlin fires at 02:30 every day.\n'
        "\n"
        "Warning: 02:30 does not exist in Europe/Berlin on 2026-03-29, when the clock goes from 02:00 to\n"
        "  03:00: fires at 03:00 then; choose a time outside of the gap, or tz='UTC'.\n"
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


def test_explain_zone_without_clock_changes_says_so() -> None:
    """Japan has no clock changes."""
    assert explanation("0 9 * * 1-5", "Asia/Tokyo").splitlines()[-1] == (
        "No clock change of Asia/Tokyo until 2027-01-01 affects it."
    )


def test_explain_lists_clock_changes_without_effect() -> None:
    """A reader who looks for a clock change finds it."""
    assert explanation("0 9 * * 1-5", "Europe/Berlin").count("\n    nothing is due in that time") == 2


def test_explain_wraps_lines_to_terminal() -> None:
    """Long sentences are wrapped and indented."""
    text = explanation("7,11,19,23,29,31,37 1-4,9-12 * 1-6 *", "Europe/Berlin", 80)
    assert max(map(len, text.splitlines())) <= 80


def test_explain_command_shows_three_runs_from_now(project: Project) -> None:
    """The command starts at the current time and shows three runs."""
    outcome = project.aioq("cron", "explain", "30", "2", "*", "*", "*", "--tz", "Europe/Berlin")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith('"30 2 * * *" in Europe/Berlin fires at 02:30 every day.\n')
    assert outcome.out.count(" 02:30+0") + outcome.out.count(" 03:00+02:00  ") == 3 + 1
    assert "02:30 does not exist: fires once at 03:00+02:00 instead" in outcome.out


def test_explain_json_has_words_runs_and_clock_changes(project: Project) -> None:
    """Wall times have no offset, all other times have one."""
    outcome = project.aioq("cron", "explain", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "1", "--json")
    explained = json.loads(outcome.out)
    assert list(explained) == ["expression", "tz", "words", "warnings", "next", "clock_changes_until", "clock_changes"]
    assert (explained["expression"], explained["tz"]) == ("30 2 * * *", "Europe/Berlin")
    assert explained["words"] == "at 02:30 every day"
    assert len(explained["next"]) == 1
    (gap,) = [change for change in explained["clock_changes"] if change["kind"] == "gap"]
    assert set(gap) == {"at", "kind", "start", "end", "touches", "runs", "effect"}
    assert (gap["start"][10:], gap["end"][10:], gap["touches"]) == ("T02:00:00", "T03:00:00", True)
    assert [run[10:] for run in gap["runs"]] == ["T03:00:00+02:00"]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["60 * * * *"], 'minute field: 60 is outside 0-59, in "60 * * * *"'),
        (["* * * * *", "-n", "0"], "cron explain: -n must be between 1 and 10,000, got 0"),
    ],
)
def test_explain_invalid_arguments_print_one_line(project: Project, argv: list[str], text: str) -> None:
    """The command prints the same errors as `cron next`."""
    assert project.aioq("cron", "explain", *argv) == (2, "", f"aioq: {text}\n")


def test_explain_plain_schedule_suggests_next(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third-party schedule may have nothing but `next_after`."""
    point = EntryPoint("cron", "tests.core.plain_scheduler:PlainScheduler", "aioq.schedulers")
    monkeypatch.setattr("aioq.discovery.entry_points", lambda **_: [point])
    outcome = project.aioq("cron", "explain", "every 5")
    assert (outcome.code, outcome.out) == (78, "")
    assert outcome.err == (
        "aioq: cron explain: the installed scheduler returns EverySeconds, which cannot explain itself; "
        "aioq cron next shows when it fires\n"
    )


def test_next_and_explain_read_seconds_and_dialects(project: Project) -> None:
    """Both commands take the arguments that say how a text is read."""
    outcome = project.aioq("cron", "next", "*/20 * * * * *", "--seconds", "first", "-n", "4")
    assert (outcome.code, {line[-8:-6] for line in outcome.out.splitlines()[1:]}) == (0, {"00", "20", "40"})
    outcome = project.aioq("cron", "explain", "cron(0 9 ? * 6L 2030)", "--dialect", "aws")
    assert outcome.out.startswith(
        '"cron(0 9 ? * 6L 2030)" in UTC fires at 09:00 on the last Friday of the month in the year 2030.\n'
    )
    outcome = project.aioq("cron", "next", "0 0 * * * *", "--dialect", "quarz")
    assert (outcome.code, outcome.err) == (
        2,
        "aioq: dialect is one of quartz, aws, croniter, jenkins, spring, or None; got 'quarz'\n",
    )


def test_explain_shows_value_of_hash(project: Project) -> None:
    """With the name of the entry the command says the value that workers use; without it, what to do."""
    outcome = project.aioq("cron", "explain", "H 9 * * *", "--name", "report")
    assert outcome.out.startswith('"H 9 * * * (6 9 * * *)" in UTC fires at 09:06 every day.\n')
    outcome = project.aioq("cron", "explain", "H 9 * * *")
    assert outcome.code == 2
    assert outcome.err.endswith("elsewhere pass name=, or --name on the command line\n")


def test_explain_shows_lints() -> None:
    """What the author hardly means comes before the next runs, in the text and in JSON."""
    assert explanation("*/45 * * * *", "UTC").startswith(
        '"*/45 * * * *" in UTC fires at minutes 0 and 45 past every hour.\n'
        "\n"
        "Warning: '*/45' in the minute field does not divide the hour: 0 follows 45 after 15 and not after\n"
        "  45; for equal intervals write @every 45m.\n"
        "\n"
        "Next runs:\n"
    )
