"""`aioq cron`: the schedules of an app, and of an expression."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tests.core.test_cli.conftest import Project

TASKS = """
    from datetime import timedelta
    from aioq import Aarq
    from aioq_cron import Every

    app = Aarq(tz="Europe/Berlin")

    @app.cron("*/5 * * * *", tz="UTC")
    async def cleanup_old_jobs(ctx): ...

    @app.cron("0 9 * * 1-5", queue="reports", unique=True)
    async def send_daily_report(ctx): ...

    @app.cron(Every(timedelta(seconds=90)), name="pulse")
    async def beat(ctx): ...

    class Broken:
        def next_after(self, instant):
            raise RuntimeError("the sun is down")

    class Over:
        def next_after(self, instant):
            return None

    app.cron(Broken(), name="broken")(beat)
    app.cron(Over(), name="over")(beat)
"""


def test_list_shows_every_entry_with_its_next_runs(project: Project) -> None:
    """`cron list` is a table: name, schedule, zone, queue, unique, and three next runs below each other."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "list", "tasks:app")
    lines = [line.split("  ") for line in outcome.out.splitlines()]
    cells = [[cell.strip() for cell in line if cell] for line in lines]
    assert outcome.code == 0
    assert cells[0] == ["NAME", "SCHEDULE", "ZONE", "QUEUE", "UNIQUE", "NEXT RUNS"]
    assert cells[1][:5] == ["tasks.cleanup_old_jobs", "*/5 * * * *", "UTC", "default", "no"]
    assert cells[4][:5] == ["tasks.send_daily_report", "0 9 * * 1-5", "Europe/Berlin", "reports", "yes"]
    assert cells[4][5][10:16] == " 09:00"
    assert cells[7][:5] == ["pulse", "every 1m30s", "UTC", "default", "no"]
    assert cells[10][5] == "fails: RuntimeError: the sun is down"
    assert cells[11][5] == "never"
    assert [len(line) for line in cells] == [6, 6, 1, 1, 6, 1, 1, 6, 1, 1, 6, 6]


def test_list_for_programs_is_json(project: Project) -> None:
    """`cron list --json` has the same facts, with moments in ISO 8601 and the entry's zone."""
    project.write("tasks.py", TASKS)
    start = datetime.now(UTC)
    entries = json.loads(project.aioq("cron", "list", "tasks:app", "--json").out)
    report, broken = entries[1], entries[3]
    runs = [datetime.fromisoformat(run) for run in report.pop("next")]
    assert report == {
        "name": "tasks.send_daily_report",
        "expression": "0 9 * * 1-5",
        "tz": "Europe/Berlin",
        "queue": "reports",
        "unique": True,
    }
    assert all(run.timetz() == run.replace(hour=9, minute=0, second=0, microsecond=0).timetz() for run in runs)
    assert all(run > start for run in runs)
    assert len(runs) == 3
    assert (broken["next"], broken["error"]) == ([], "fails: RuntimeError: the sun is down")


def test_next_shows_the_zone_and_utc(project: Project) -> None:
    """`cron next` shows each run by the clock of the zone, with its offset, and in UTC."""
    outcome = project.aioq("cron", "next", "0 9 * * 1-5", "-n", "7", "--tz", "Asia/Kolkata")
    title, *lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert title.split() == ["Asia/Kolkata", "UTC"]
    assert len(lines) == 7
    assert all(line[14:26] == " 09:00+05:30" and line.endswith(" 03:30+00:00") for line in lines)
    assert not any(line.startswith(("Sat", "Sun")) for line in lines)


def test_next_without_a_zone_means_utc(project: Project) -> None:
    """`cron next` goes by UTC unless told otherwise, and shows five runs."""
    title, *lines = project.aioq("cron", "next", "*/5 * * * *").out.splitlines()
    moments = [datetime.fromisoformat(line[4:]) for line in lines]
    assert title == "UTC"
    assert [later - earlier for earlier, later in pairwise(moments)] == [timedelta(minutes=5)] * 4
    assert moments[0] - datetime.now(UTC) <= timedelta(minutes=5)


def test_next_for_programs_is_json(project: Project) -> None:
    """`cron next --json` gives each run in the zone and in UTC."""
    outcome = project.aioq("cron", "next", "30 2 * * *", "-n", "2", "--tz", "America/New_York", "--json")
    runs = json.loads(outcome.out)
    assert [set(run) for run in runs] == [{"at", "utc"}] * 2
    for run in runs:
        at = datetime.fromisoformat(run["at"])
        assert at == datetime.fromisoformat(run["utc"])
        assert at.utcoffset() == at.astimezone(ZoneInfo("America/New_York")).utcoffset()


def test_five_words_are_an_expression_too(project: Project) -> None:
    """An expression without stars may go without quotes."""
    assert project.aioq("cron", "next", "0", "9", "1", "1", "mon").code == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["60 * * * *"], 'minute field: 60 is outside 0-59, in "60 * * * *"'),
        (
            ["* * * * *", "--tz", "Europe/Berln"],
            "tz 'Europe/Berln' is not a known time zone; did you mean 'Europe/Berlin'?",
        ),
        (["0 0 31 2 *"], '"0 0 31 2 *" never matches'),
        (["a.py", "b.py", "0", "1", "*"], "; put the expression in quotes, or the shell replaces its stars\n"),
    ],
)
def test_a_wrong_expression_gets_the_parsers_line(project: Project, argv: list[str], said: str) -> None:
    """What the parser has against an expression is the one line, with exit code 2."""
    outcome = project.aioq("cron", "next", *argv)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


NEEDS_CRON = """
    from aioq import Aarq
    from aioq.backends.memory import MemoryBroker

    app = Aarq(MemoryBroker())

    @app.cron("* * * * *")
    async def beat(ctx): ...
"""


def nothing(**_: str) -> list[EntryPoint]:
    """Find no entry point, as where nothing is installed."""
    return []


@pytest.mark.parametrize("argv", [["cron", "next", "* * * * *"], ["demo"], ["cron", "list", "tasks"]])
def test_without_aioq_cron_it_says_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    """What needs aioq-cron says so, with the line to run, and exit code 78."""
    project.write("tasks.py", NEEDS_CRON)
    monkeypatch.setattr("aioq.discovery.entry_points", nothing)
    outcome = project.aioq(*argv)
    assert (outcome.code, outcome.out) == (78, "")
    assert 'cron expressions need the aioq-cron distribution; run: pip install "aioq[cron]"' in outcome.err
