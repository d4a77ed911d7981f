"""`aioq cron pause` and `aioq cron resume`."""

from __future__ import annotations

import json
import socket

import pytest

from aioq.model.cron import Pause
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.cron("0 9 * * *", tz="Europe/Berlin")
    async def report(ctx): ...
"""


@pytest.fixture(autouse=True)
def _ada(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives the commands."""
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")


def pause_of(project: Project) -> Pause | None:
    """Return what the ledger has of the pause."""
    (status,) = project.do(lambda: project.ledger.cron_statuses("tasks"))
    pause: Pause | None = status.pause
    return pause


def test_pause_says_how_to_resume(project: Project) -> None:
    """The ledger has the note, who, and when; the person learns how to undo it."""
    project.write("tasks.py", TASKS)
    project.register()
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "the printer burns")
    assert outcome == (
        0, "tasks.report is paused; it fires again after: aioq cron resume tasks:app tasks.report\n", "",
    )  # fmt: skip
    assert pause_of(project) == Pause(note="the printer burns", by="ada@laptop", at=NOON)


def test_a_second_pause_says_who_was_first(project: Project) -> None:
    """The latest note is kept, and said to be."""
    project.write("tasks.py", TASKS)
    project.register()
    project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "first")
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "second")
    assert outcome == (
        0,
        "tasks.report was paused already, by ada@laptop at 2026-01-05 13:00+01:00: first; the note is now: second\n",
        "",
    )
    assert pause_of(project) == Pause(note="second", by="ada@laptop", at=NOON)


def test_programs_are_told_in_json(project: Project) -> None:
    """What holds now, and whether the command has changed anything."""
    project.write("tasks.py", TASKS)
    project.register()
    told = []
    for command in (["pause", "--note", "flood"], ["pause"], ["resume"], ["resume"]):
        outcome = project.aioq("cron", command[0], "tasks:app", "tasks.report", *command[1:], "--json")
        assert (outcome.code, outcome.err) == (0, "")
        told.append(json.loads(outcome.out))
    assert [(one["name"], one["queue"]) for one in told] == [("tasks.report", "default")] * 4
    assert [(one["paused"], one["changed"]) for one in told] == [
        (True, True), (True, False), (False, True), (False, False),
    ]  # fmt: skip
    assert (told[0]["note"], told[2]["next"]) == ("flood", "2026-01-06T09:00:00+01:00")


def test_an_entry_that_nobody_has_registered_can_be_paused(project: Project) -> None:
    """A pause before the first deploy holds, and is known to the next who pauses."""
    project.write("tasks.py", TASKS)
    assert "is paused" in project.aioq("cron", "pause", "tasks:app", "tasks.report").out
    assert project.aioq("cron", "pause", "tasks:app", "tasks.report").out == "tasks.report was paused already\n"
    project.register()
    assert pause_of(project) is not None


def test_resume_says_when_it_fires_next(project: Project) -> None:
    """And who had paused it, since when."""
    project.write("tasks.py", TASKS)
    project.register()
    project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "x")
    outcome = project.aioq("cron", "resume", "tasks:app", "tasks.report")
    assert outcome == (
        0,
        (
            "tasks.report, paused by ada@laptop at 2026-01-05 13:00+01:00: x, is resumed and fires next at "
            "2026-01-06 09:00+01:00\n"
        ),
        "",
    )
    assert pause_of(project) is None


def test_resuming_what_is_not_paused_changes_nothing(project: Project) -> None:
    """It is no error either: the entry fires, as was wanted."""
    project.write("tasks.py", TASKS)
    project.register()
    outcome = project.aioq("cron", "resume", "tasks:app", "tasks.report")
    assert outcome == (0, "tasks.report was not paused\n", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("report", "tasks:app has no cron entry report; did you mean tasks.report?"),
        ("tasks.reportt", "tasks:app has no cron entry tasks.reportt; did you mean tasks.report?"),
        ("x", "tasks:app has no cron entry x; it has tasks.report"),
    ],
)
@pytest.mark.parametrize("verb", ["pause", "resume", "run", "history"])
def test_a_wrong_name_gets_the_right_one(project: Project, verb: str, name: str, said: str) -> None:
    """Commands that take an entry say which are meant."""
    project.write("tasks.py", TASKS)
    assert project.aioq("cron", verb, "tasks:app", name) == (2, "", f"aioq: {said}\n")


def test_an_app_without_crons_has_none_to_pause(project: Project) -> None:
    """Nothing is suggested where nothing is."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    outcome = project.aioq("cron", "pause", "tasks:app", "x")
    assert outcome == (2, "", "aioq: tasks:app has no cron entry x; it has none\n")


def test_of_many_names_some_are_shown(project: Project) -> None:
    """The line stays short."""
    project.write(
        "tasks.py",
        TASKS + "\n    for number in range(7):\n        app.cron('@daily', name=f'entry-{number}')(report)\n",
    )
    outcome = project.aioq("cron", "pause", "tasks:app", "zzz")
    assert outcome.err == (
        "aioq: tasks:app has no cron entry zzz; it has entry-0, entry-1, entry-2, entry-3, entry-4, and 3 more\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["cron", "pause", "tasks:app", "tasks.report"],
        ["cron", "resume", "tasks:app", "tasks.report"],
        ["cron", "history", "tasks:app", "tasks.report"],
        ["cron", "diff", "tasks:app"],
        ["check", "tasks:app"],
    ],
)
def test_the_memory_broker_cannot_be_reached_from_here(project: Project, command: list[str]) -> None:
    """Its ledger is in the worker's process: the command says so, and what to do."""
    project.write("tasks.py", TASKS.replace("FarBroker()", ""))
    outcome = project.aioq(*command)
    name = " ".join(word for word in command[:2] if ":" not in word)
    assert outcome == (
        78,
        "",
        (
            f"aioq: {name}: the embedded memory broker lives in the process that uses it, and cannot be reached from "
            "here; use another broker: set AIOQ_BROKER_URL, or write Aarq(broker=...)\n"
        ),
    )


def test_a_broker_without_a_ledger_is_told(project: Project) -> None:
    """A broker of a third party may have none."""
    project.write(
        "tasks.py",
        TASKS.replace("FarBroker()", "Plain()").replace(
            "    app = Aarq",
            """
    from aioq.protocols import Broker

    class Plain(Broker): ...

    app = Aarq""",
        ),
    )
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report")
    assert outcome == (
        78,
        "",
        (
            "aioq: aioq cron pause needs a broker that implements aioq.protocols.TickLedger, and Plain does not; "
            "use another broker or do without\n"
        ),
    )


def test_a_broker_that_is_away_gives_69(project: Project) -> None:
    """One line, without a traceback."""
    project.write(
        "tasks.py",
        TASKS.replace("FarBroker()", "Away()").replace(
            "    app = Aarq",
            """
    from aioq import BrokerUnavailable

    class Away(FarBroker):
        async def connect(self):
            raise BrokerUnavailable("redis://host:6379 refused the connection")

    app = Aarq""",
        ),
    )
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report")
    assert outcome == (69, "", "aioq: redis://host:6379 refused the connection\n")
