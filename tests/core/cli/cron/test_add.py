"""`aioq cron add` and `aioq cron remove`, and the other commands on stored schedules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioq.model.cron import TickRecord, TickStatus
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

pytestmark = pytest.mark.usefixtures("ada")

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.cron("0 9 * * *", tz="Europe/Berlin")
    async def report(ctx): ...

    @app.task
    async def send(ctx, customer: int): ...
"""

ADD = ("cron", "add", "tasks:app", "c-7", "tasks.send", "0 9 * * *", "--args", "[7]", "--tz", "Europe/Berlin")


@pytest.fixture(autouse=True)
def tasks(project: Project) -> None:
    """An app with an entry and a task."""
    project.write("tasks.py", TASKS)


def stored(project: Project) -> Any:
    """Return the stored schedule."""
    return project.do(lambda: project.app.schedules.get("c-7"))


def test_add_stores_schedule_with_policies(project: Project) -> None:
    """The schedule has the arguments, the zone and the policies of the command."""
    outcome = project.aioq(*ADD, "--misfire", "all", "--catchup", "3600")
    assert outcome == (0, "c-7 is stored: its next run is 2026-01-06 09:00+01:00\n", "")
    info = stored(project)
    assert (info.task, info.expression, info.tz) == ("tasks.send", "0 9 * * *", "Europe/Berlin")
    assert dict(info.options) == {"misfire": "all", "catchup": "3600"}


def test_add_again_says_that_nothing_changed(project: Project) -> None:
    """A second command with the same arguments changes nothing."""
    project.aioq(*ADD)
    outcome = project.aioq(*ADD, "--json")
    assert json.loads(outcome.out) == {
        "name": "c-7", "queue": "default", "changed": False, "next": "2026-01-06T09:00:00+01:00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("c-7", "tasks.sent", "0 9 * * *"), "tasks:app has no task tasks.sent; it has tasks.send"),
        (("c-7", "tasks.send", "0 9 * *", "--args", "[7]"), "0 9 * *"),
        (("c-7", "tasks.send", "0 9 * * *", "--args", "7"), "--args must be a JSON list, got 7"),
        (("c-7", "tasks.send", "0 9 * * *", "--kwargs", "{"), "--kwargs is not JSON"),
        (("c-7", "tasks.send", "0 9 * * *"), "customer"),
        (("tasks.report", "tasks.send", "0 9 * * *", "--args", "[7]"), "the code declares it at"),
        (("c-7", "tasks.send", "0 9 * * *", "--args", "[7]", "--grace", "0"), "grace"),
    ],
)
def test_add_mistake_is_one_line(project: Project, arguments: tuple[str, ...], error: str) -> None:
    """A mistake is named in one line, and nothing is stored."""
    outcome = project.aioq("cron", "add", "tasks:app", *arguments)
    assert outcome.code != 0
    assert error in outcome.err
    assert "Traceback" not in outcome.err
    assert stored(project) is None


def test_remove_takes_stored_schedules_only(project: Project) -> None:
    """An entry of the code is not removed, and neither is what is not stored."""
    project.aioq(*ADD)
    assert project.aioq("cron", "remove", "tasks:app", "c-7") == (0, "c-7 is removed\n", "")
    assert stored(project) is None
    for name, why in (("c-7", "not stored"), ("tasks.report", "an entry of the code")):
        outcome = project.aioq("cron", "remove", "tasks:app", name)
        assert outcome.code == 2
        assert f"{name} is {why}" in outcome.err


def test_add_and_remove_record_who_made_the_change(project: Project) -> None:
    """A command that changes something records it, with the user; one that changes nothing does not."""
    for arguments in (ADD, ADD, ("cron", "remove", "tasks:app", "c-7"), ("cron", "remove", "tasks:app", "c-7")):
        project.aioq(*arguments)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    changes = project.do(broker.near.list_changes)
    assert [(change.what, change.subject, change.by) for change in changes] == [
        ("remove", "cron default c-7", "ada@laptop"),
        ("add", "cron default c-7", "ada@laptop"),
    ]


def test_list_shows_stored_schedules_after_the_code(project: Project) -> None:
    """A stored schedule is shown with its next runs, and marked."""
    project.register()
    project.aioq(*ADD)
    shown = json.loads(project.aioq("cron", "list", "tasks:app", "--json").out)
    assert [(one["name"], one["stored"], one["next"][0]) for one in shown] == [
        ("tasks.report", False, "2026-01-06T09:00:00+01:00"), ("c-7", True, "2026-01-06T09:00:00+01:00"),
    ]  # fmt: skip
    assert "one job a tick, stored" in project.aioq("cron", "list", "tasks:app").out


def test_pause_resume_and_history_take_stored_schedules(project: Project) -> None:
    """The commands for entries work on stored schedules, and suggest nothing else."""
    project.aioq(*ADD)
    outcome = project.aioq("cron", "pause", "tasks:app", "c-7", "--note", "flood")
    assert outcome.out == "c-7 is paused; to resume it: aioq cron resume tasks:app c-7\n"
    assert stored(project).pause.note == "flood"
    outcome = project.aioq("cron", "resume", "tasks:app", "c-7")
    assert "c-7 is resumed: its next run is 2026-01-06 09:00+01:00" in outcome.out
    record = TickRecord(name="c-7", queue="default", tick=NOON, status=TickStatus.OK, fired_at=NOON, finished_at=NOON)
    project.do(lambda: project.ledger.record_ticks([record]))
    (shown,) = json.loads(project.aioq("cron", "history", "tasks:app", "c-7", "--json").out)
    assert (shown["status"], shown["tick"]) == ("ok", "2026-01-05T13:00:00+01:00")


def test_history_unknown_name_says_what_exists(project: Project) -> None:
    """A name that is neither in the code nor stored is an error."""
    outcome = project.aioq("cron", "history", "tasks:app", "c-8")
    assert outcome.code == 2
    assert "tasks:app has no cron entry c-8" in outcome.err
