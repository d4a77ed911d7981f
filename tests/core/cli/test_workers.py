"""`aioq workers`."""

from __future__ import annotations

import json
from functools import partial

import pytest
from msgspec.structs import replace

from aioq.model.tasks import TaskInfo
from aioq.model.workers import MAX_RUNS, RunInfo, WorkerInfo
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
        started_at=NOON - 7200, app="shop", tasks=(TaskInfo("shop.send", "mails", ()),), tasks_left_out=1, stuck=1, memory=87 * 2**20, loop_lag=0.0034, version="0.5.0",
        runs=(
            RunInfo(job_id="j1", queue="mails", task="shop.send", attempt=1, since=NOON - 300, stuck=True),
            RunInfo(job_id="j2", queue="mails", task="shop.send", attempt=3, since=NOON - 2),
        ),
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
        "ID     APP   QUEUES          RUNNING  STUCK  UP FOR  MEMORY  LAG",
        "web-1  shop  default, mails  3/10     1      2 h     87 MiB  0.00 s",
        "web-2        default         0/1      0      0.00 s",
    ]


@pytest.mark.usefixtures("broker")
def test_workers_of_queue_as_json(project: Project) -> None:
    """Programs get all fields; another queue's workers are left out."""
    outcome = project.aioq("workers", "tasks:app", "-q", "mails", "--json")
    assert json.loads(outcome.out) == [{
        "id": "web-1", "app": "shop", "hostname": "web", "pid": 7, "queues": ["default", "mails"],
        "all_queues": False, "weights": None, "slots": 10, "running": 3, "stuck": 1,
        "memory": 87 * 2**20, "loop_lag": 0.0034, "version": "0.5.0",
        "runs": [
            {
                "job_id": "j1", "queue": "mails", "task": "shop.send", "attempt": 1,
                "since": "2026-01-05T11:55:00+00:00", "stuck": True,
            },
            {
                "job_id": "j2", "queue": "mails", "task": "shop.send", "attempt": 3,
                "since": "2026-01-05T11:59:58+00:00", "stuck": False,
            },
        ],
        "started_at": "2026-01-05T10:00:00+00:00",
        "tasks": ["shop.send"], "tasks_left_out": 1,
    }]  # fmt: skip
    assert project.aioq("workers", "tasks:app", "-q", "bills").out == "no worker of queue bills is up\n"


def test_weights_stand_beside_their_queues(project: Project, broker: FarBroker) -> None:
    """A worker that claims by weights shows them; in JSON they are an object."""
    weighted = WorkerInfo(
        id="web-1", queues=("critical", "low"), weights=(6, 1), concurrency=100, running=0, hostname="h", pid=1,
        started_at=NOON,
    )  # fmt: skip
    project.do(partial(broker.near.heartbeat, weighted, ttl=60))
    shown = project.aioq("workers", "tasks:app", "-q", "critical").out
    assert "critical=6, low=1" in shown
    assert json.loads(project.aioq("workers", "tasks:app", "-q", "low", "--json").out)[0]["weights"] == {
        "critical": 6,
        "low": 1,
    }


@pytest.mark.usefixtures("broker")
def test_runs_are_one_line_each(project: Project) -> None:
    """The line says which job a worker runs, for how long, and whether it is stuck."""
    assert project.aioq("workers", "tasks:app", "--runs").out.splitlines() == [
        "WORKER  TASK       JOB  ATTEMPT  RUNS FOR",
        "web-1   shop.send  j1   1        5 min, stuck",
        "web-1   shop.send  j2   3        2.00 s",
    ]


def test_runs_that_are_left_out_are_counted(project: Project, broker: FarBroker) -> None:
    """A worker with many slots reports its oldest runs; one that is idle says so."""
    idle = WorkerInfo(id="web-1", queues=("q",), concurrency=100, running=0, hostname="h", pid=1, started_at=NOON)
    project.do(partial(broker.near.heartbeat, idle, ttl=60))
    assert project.aioq("workers", "tasks:app", "--runs").out == "no job ran at the last heartbeats\n"
    run = RunInfo(job_id="j", queue="q", task="t", attempt=1, since=NOON)
    busy = replace(idle, running=70, runs=(run,) * MAX_RUNS)
    project.do(partial(broker.near.heartbeat, busy, ttl=60))
    assert project.aioq("workers", "tasks:app", "--runs").out.endswith("\nand 6 more: a worker reports its 64 oldest\n")
