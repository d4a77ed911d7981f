"""`aioq cron next`: when an expression fires."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tests.core.cli.conftest import Project


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
