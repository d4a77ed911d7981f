"""`aioq queues` and `aioq tasks stop`: what they order, show and record."""

from __future__ import annotations

import json

import pytest

from aioq.model.changes import Change
from aioq.model.job import NewJob
from aioq.model.stops import Stop
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.task(queue="mails", name="shop.send")
    async def send(ctx) -> None: ...
"""


@pytest.fixture
def broker(project: Project) -> FarBroker:
    """The broker of the app in `tasks.py`."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    return broker


def test_queues_pause_and_resume_order_and_record(project: Project, broker: FarBroker) -> None:
    """The commands pause and resume a queue, say so, and record who did it and why."""
    paused = project.aioq("queues", "pause", "tasks:app", "mails", "--note", "provider down", "--by", "ada")
    again = project.aioq("queues", "pause", "tasks:app", "mails", "--by", "bob")
    stops = project.do(broker.near.list_stops)
    resumed = [project.aioq("queues", "resume", "tasks:app", "mails", "--by", "bob") for _ in range(2)]
    assert [one.out.strip() for one in (paused, again, *resumed)] == [
        "queue mails is paused; to resume it: aioq queues resume tasks:app mails",
        "queue mails was already paused; its note is now: none",
        "queue mails is resumed",
        "queue mails was not paused",
    ]
    assert stops == [Stop(queue="mails", note="", by="bob", since=NOON)]
    changes = project.do(broker.near.list_changes)
    assert [(one.by, one.what, one.subject, one.note) for one in changes] == [
        ("bob", "resume", "queue mails", ""),
        ("bob", "pause", "queue mails", ""),
        ("ada", "pause", "queue mails", "provider down"),
    ]


def test_tasks_stop_and_restore_order_and_record(project: Project, broker: FarBroker) -> None:
    """A task is stopped in its queue, and restored wherever it is stopped."""
    outs = [
        project.aioq("tasks", "stop", "tasks:app", "shop.send", "--note", "bug", "--by", "ada").out,
        project.aioq("tasks", "stop", "tasks:app", "old.task", "-q", "p", "--by", "ada").out,
        project.aioq("tasks", "restore", "tasks:app", "shop.send", "--by", "ada").out,
        project.aioq("tasks", "restore", "tasks:app", "shop.send", "--by", "ada").out,
    ]
    assert [out.strip() for out in outs] == [
        "shop.send is stopped in queue mails; to restore it: aioq tasks restore tasks:app shop.send",
        "old.task is stopped in queue p; to restore it: aioq tasks restore tasks:app old.task",
        "shop.send is restored in queue mails",
        "shop.send was not stopped",
    ]
    stops = project.do(broker.near.list_stops)
    assert [(stop.queue, stop.task) for stop in stops] == [("p", "old.task")]
    changes = project.do(lambda: broker.near.list_changes(subject="task mails shop.send"))
    assert changes == [
        Change(at=NOON, by="ada", what="restore", subject="task mails shop.send"),
        Change(at=NOON, by="ada", what="stop", subject="task mails shop.send", note="bug"),
    ]


def test_tasks_stop_unknown_task_names_the_way_out(project: Project, broker: FarBroker) -> None:
    """A task that the app lacks needs its queue."""
    outcome = project.aioq("tasks", "stop", "tasks:app", "shop.sent")
    assert (outcome.code, outcome.out) == (2, "")
    assert "app tasks:app has no task shop.sent" in outcome.err
    assert project.do(broker.near.list_changes) == []


def test_queues_list_shows_counts_and_stops(project: Project, broker: FarBroker) -> None:
    """The table has each queue with its jobs and orders, and fits 80 columns; the JSON has the same."""
    near = broker.near
    project.do(lambda: near.enqueue([NewJob(id=id, task="t", queue="default", payload=b"") for id in "ab"]))
    project.do(lambda: near.pause_queue("mails", note="provider down", by="ada@host"))
    project.do(lambda: near.stop_task("shop.send", queue="mails", note="", by="bob"))
    assert project.aioq("queues", "list", "tasks:app").out.splitlines() == [
        "QUEUE    PENDING  SCHEDULED  RUNNING  DEAD  OLDEST  A MINUTE  P95 WAIT",
        "default  2        0          0        0     0.00 s  0.0       -",
        "mails    0        0          0        0     -       0.0       -",
        "queue mails is paused by ada@host at 2026-01-05 12:00+00:00: provider down",
        "shop.send is stopped in queue mails by bob at 2026-01-05 12:00+00:00",
    ]
    default, mails = json.loads(project.aioq("queues", "list", "tasks:app", "--json").out)
    assert (default["pending"], default["paused"], default["stopped_tasks"]) == (2, None, [])
    assert (mails["paused"]["by"], mails["paused"]["note"]) == ("ada@host", "provider down")
    assert [one["task"] for one in mails["stopped_tasks"]] == ["shop.send"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("queues", "pause", "tasks:app", "a b"), "queue 'a b' is not of the form"),
        (("queues", "pause", "tasks:app", "q", "--note", "n" * 501), "--note must have at most 500 characters"),
        (("queues", "resume", "tasks:app", "q", "--by", ""), "--by must have 1 to 200 characters"),
        (("tasks", "restore", "tasks:app", "a b"), "name 'a b' is not of the form"),
    ],
)
def test_control_bad_argument_is_one_line(
    project: Project, broker: FarBroker, words: tuple[str, ...], said: str
) -> None:
    """A wrong name or a text that is too long is rejected before anything is ordered."""
    outcome = project.aioq(*words)
    assert (outcome.code, said in outcome.err) == (2, True)
    assert project.do(broker.near.list_stops) == []
