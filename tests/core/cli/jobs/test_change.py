"""`aioq jobs cancel` and `aioq jobs retry`."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from aioq.model.job import ClaimRequest, Dead, NewJob, Retried
from aioq.model.states import JobState
from tests.core.cli.conftest import Project
from tests.core.cli.far import FarBroker

TASKS = """
    from aioq import Aarq, JobEvent
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())
    facts = []
    app.on(JobEvent.CANCELLED, facts.append)
"""


@pytest.fixture
def broker(project: Project) -> FarBroker:
    """The broker of the app in `tasks.py`, with job `j`, which waits."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    project.do(lambda: broker.near.enqueue([NewJob(id="j", task="shop.send", queue="mails", payload=b"{}")]))
    return broker


def claim_and_settle(project: Project, broker: FarBroker, kind: type[Dead | Retried]) -> None:
    """Let job `j` end as dead, or wait for its next attempt."""
    request = ClaimRequest(worker_id="w1", queues=("mails",), limit=1, lease=30, request_id="r")
    (lease,) = project.do(lambda: broker.near.claim(request)).leases
    end = Dead(lease=lease, reason="malformed") if kind is Dead else Retried(lease=lease, delay=60)
    project.do(lambda: broker.near.settle([end]))


def test_cancel_waiting_job_cancels_and_records(project: Project, broker: FarBroker) -> None:
    """The job is cancelled, listeners of the app learn by whom, and the change has the reason."""
    outcome = project.aioq("jobs", "cancel", "tasks:app", "j", "--note", "wrong address", "--by", "ada")
    assert outcome == (0, "job j of queue mails is cancelled\n", "")
    record = project.do(lambda: broker.near.get_job("j", queue="mails"))
    assert record.state is JobState.CANCELLED
    (change,) = project.do(broker.near.list_changes)
    assert (change.by, change.what, change.subject, change.note) == ("ada", "cancel", "job mails j", "wrong address")
    facts = import_module("tasks").facts
    assert [(fact.job_id, fact.task, fact.by) for fact in facts] == [("j", "shop.send", "ada")]


def test_cancel_ended_job_says_its_state(project: Project, broker: FarBroker) -> None:
    """Nothing is changed or recorded, and the exit code is 1."""
    claim_and_settle(project, broker, Dead)
    outcome = project.aioq("jobs", "cancel", "tasks:app", "j")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        "aioq: jobs cancel: job j of queue mails is dead: only a job that has not ended can be cancelled\n"
    )
    assert project.do(broker.near.list_changes) == []


def test_retry_dead_job_puts_it_back_and_records(project: Project, broker: FarBroker, ada: str) -> None:
    """The job waits again, and the change has the name of the user."""
    claim_and_settle(project, broker, Dead)
    outcome = project.aioq("jobs", "retry", "tasks:app", "j", "-q", "mails", "--json")
    assert (outcome.code, json.loads(outcome.out)) == (
        0,
        {"id": "j", "queue": "mails", "state": "pending", "changed": True},
    )
    (change,) = project.do(broker.near.list_changes)
    assert (change.by, change.what, change.subject, change.note) == (ada, "retry", "job mails j", "")


def test_retry_brings_waiting_retry_forward(project: Project, broker: FarBroker, ada: str) -> None:
    """The job is due now, as the attempt that it waited for; it does not enter its queue anew, so no count grows."""
    claim_and_settle(project, broker, Retried)
    outcome = project.aioq("jobs", "retry", "tasks:app", "j")
    assert (outcome.code, outcome.out) == (0, "job j of queue mails is due now\n")
    record = project.do(lambda: broker.near.get_job("j", queue="mails"))
    assert record is not None
    assert (record.state, record.attempt) == (JobState.PENDING, 1)
    (change,) = project.do(broker.near.list_changes)
    assert (change.by, change.what) == (ada, "retry")
    again = project.aioq("jobs", "retry", "tasks:app", "j")
    assert (again.code, again.out) == (1, "")
    assert "is pending: only a failed, cancelled, dead or expired job, or one that waits for its retry" in again.err


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_change_of_unknown_job_exits_1(project: Project, broker: FarBroker, verb: str) -> None:
    """The line names the job."""
    outcome = project.aioq("jobs", verb, "tasks:app", "unknown")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"aioq: jobs {verb}: the broker has no job unknown: it was never enqueued, or")
