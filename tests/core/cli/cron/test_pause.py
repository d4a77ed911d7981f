"""`aioq cron pause` and `aioq cron resume`."""

from __future__ import annotations

import json

import pytest

from aioq.model.cron import Pause
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON

pytestmark = pytest.mark.usefixtures("ada")

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.cron("0 9 * * *", tz="Europe/Berlin")
    async def report(ctx): ...
"""


def pause_of(project: Project) -> Pause | None:
    """Return the pause in the ledger."""
    (status,) = project.do(lambda: project.ledger.cron_statuses("tasks"))
    pause: Pause | None = status.pause
    return pause


def test_pause_prints_command_to_resume(project: Project) -> None:
    """The ledger has the note, the user and the time."""
    project.write("tasks.py", TASKS)
    project.register()
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "the printer burns")
    assert outcome == (
        0, "tasks.report is paused; to resume it: aioq cron resume tasks:app tasks.report\n", "",
    )  # fmt: skip
    assert pause_of(project) == Pause(note="the printer burns", by="ada@laptop", at=NOON)


def test_pause_paused_entry_prints_first_pause(project: Project) -> None:
    """The entry keeps its pause, with the second note."""
    project.write("tasks.py", TASKS)
    project.register()
    project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "first")
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "second")
    assert outcome == (
        0,
        "tasks.report was already paused, by ada@laptop at 2026-01-05 13:00+01:00: first; the note is now: second\n",
        "",
    )
    assert pause_of(project) == Pause(note="second", by="ada@laptop", at=NOON)


def test_pause_again_without_note_keeps_note(project: Project) -> None:
    """The note of the first pause stays, in the ledger and in the output; an empty one removes it."""
    project.write("tasks.py", TASKS)
    project.register()
    project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "flood")
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report")
    paused = "tasks.report was already paused, by ada@laptop at 2026-01-05 13:00+01:00: flood"
    assert outcome == (0, f"{paused}\n", "")
    assert pause_of(project) == Pause(note="flood", by="ada@laptop", at=NOON)
    outcome = project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "")
    assert outcome == (0, f"{paused}; the note was removed\n", "")
    assert pause_of(project) == Pause(note="", by="ada@laptop", at=NOON)


def test_pause_json_says_whether_it_changed_anything(project: Project) -> None:
    """`--json` prints the state after the command, and whether the command changed it."""
    project.write("tasks.py", TASKS)
    project.register()
    printed = []
    for command in (["pause", "--note", "flood"], ["pause"], ["resume"], ["resume"]):
        outcome = project.aioq("cron", command[0], "tasks:app", "tasks.report", *command[1:], "--json")
        assert (outcome.code, outcome.err) == (0, "")
        printed.append(json.loads(outcome.out))
    assert [(one["name"], one["queue"]) for one in printed] == [("tasks.report", "default")] * 4
    assert [(one["paused"], one["changed"]) for one in printed] == [
        (True, True), (True, False), (False, True), (False, False),
    ]  # fmt: skip
    assert [one["note"] for one in printed[:2]] == ["flood", "flood"]
    assert printed[2]["next"] == "2026-01-06T09:00:00+01:00"


def test_pause_unregistered_entry_is_paused(project: Project) -> None:
    """A pause before the first deploy is still there after it."""
    project.write("tasks.py", TASKS)
    assert "is paused" in project.aioq("cron", "pause", "tasks:app", "tasks.report").out
    assert project.aioq("cron", "pause", "tasks:app", "tasks.report").out == "tasks.report was already paused\n"
    project.register()
    assert pause_of(project) is not None


def test_resume_prints_next_run_and_pause(project: Project) -> None:
    """The command prints the next run, and the user and time of the pause."""
    project.write("tasks.py", TASKS)
    project.register()
    project.aioq("cron", "pause", "tasks:app", "tasks.report", "--note", "x")
    outcome = project.aioq("cron", "resume", "tasks:app", "tasks.report")
    assert outcome == (
        0,
        (
            "tasks.report is resumed: its next run is 2026-01-06 09:00+01:00; it was paused by ada@laptop at "
            "2026-01-05 13:00+01:00: x\n"
        ),
        "",
    )
    assert pause_of(project) is None


def test_resume_entry_not_paused_changes_nothing(project: Project) -> None:
    """The command exits with 0."""
    project.write("tasks.py", TASKS)
    project.register()
    outcome = project.aioq("cron", "resume", "tasks:app", "tasks.report")
    assert outcome == (0, "tasks.report was not paused\n", "")
