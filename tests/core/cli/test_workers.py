"""`aioq workers`."""

from __future__ import annotations

import json
from functools import partial

import pytest

from aioq.model.job import WorkerInfo
from aioq.model.tasks import TaskInfo
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())
"""


@pytest.fixture
def broker(project: Project) -> FarBroker:
    """The broker of the app in `tasks.py`, with two workers."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    first = WorkerInfo(
        id="web-1", queues=("default", "mails"), concurrency=10, running=3, hostname="web", pid=7,
        started_at=NOON - 7200, app="shop", tasks=(TaskInfo("shop.send", "mails", ()),), tasks_left_out=1, stuck=1,
    )  # fmt: skip
    ahead = WorkerInfo(
        id="web-2", queues=("default",), concurrency=1, running=0, hostname="web", pid=8, started_at=NOON + 5
    )
    for worker in (first, ahead):
        project.do(partial(broker.near.heartbeat, worker, ttl=60))
    return broker


@pytest.mark.usefixtures("broker")
def test_workers_are_one_line_each(project: Project) -> None:
    """The line says what a worker consumes and runs; a clock that is ahead makes no negative time."""
    outcome = project.aioq("workers", "tasks:app")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "ID     APP   QUEUES          RUNNING  STUCK  UP FOR  TASKS",
        "web-1  shop  default, mails  3/10     1      2 h     2",
        "web-2        default         0/1      0      0.00 s  0",
    ]


@pytest.mark.usefixtures("broker")
def test_workers_of_queue_as_json(project: Project) -> None:
    """Programs get all fields; another queue's workers are left out."""
    outcome = project.aioq("workers", "tasks:app", "-q", "mails", "--json")
    assert json.loads(outcome.out) == [{
        "id": "web-1", "app": "shop", "hostname": "web", "pid": 7, "queues": ["default", "mails"],
        "all_queues": False, "slots": 10, "running": 3, "stuck": 1, "started_at": "2026-01-05T10:00:00+00:00",
        "tasks": ["shop.send"], "tasks_left_out": 1,
    }]  # fmt: skip
    assert project.aioq("workers", "tasks:app", "-q", "bills").out == "no worker of queue bills is up\n"
