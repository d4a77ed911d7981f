"""`aioq enqueue`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest

from aioq.model.job import JobRecord
from aioq.model.states import JobState
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

TASKS = """
    from datetime import datetime
    from decimal import Decimal

    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.task(name="shop.send", queue="mails")
    async def send(ctx, to: str, at: datetime | None = None, *prices: Decimal, **texts: str) -> None: ...
"""


@pytest.fixture
def broker(project: Project) -> FarBroker:
    """The broker of the app in `tasks.py`."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    return broker


def stored(project: Project, broker: FarBroker) -> list[JobRecord]:
    """Return the jobs that wait or are delayed."""
    return [
        job
        for state in (JobState.PENDING, JobState.SCHEDULED)
        for job in project.do(partial(broker.near.list_jobs, "mails", state))
    ]


def test_enqueue_stores_job_with_typed_arguments(project: Project, broker: FarBroker) -> None:
    """JSON texts become values of the annotated types, also in `*args` and `**kwargs`."""
    args = json.dumps(["a@b.c", "2026-01-05T12:00:00Z", "1.5", "2"])
    outcome = project.aioq(
        "enqueue", "tasks:app", "shop.send", "--args", args, "--kwargs", '{"note": "n"}', "--job-id", "w1"
    )
    assert outcome == (0, "job w1 of shop.send is in queue mails\n", "")
    (job,) = stored(project, broker)
    expected = (["a@b.c", datetime(2026, 1, 5, 12, tzinfo=UTC), Decimal("1.5"), Decimal(2)], {"note": "n"})
    assert project.app.tasks["shop.send"].signature.decode(job.payload) == expected


def test_enqueue_with_delay_and_priority(project: Project, broker: FarBroker) -> None:
    """The options are those of the job, and JSON says where it is."""
    outcome = project.aioq(
        "enqueue", "tasks:app", "shop.send", "--kwargs", '{"to": "a"}', "--delay", "60", "--priority", "9", "--json"
    )
    (job,) = stored(project, broker)
    assert (job.priority, job.run_at) == (9, NOON + 60)
    assert json.loads(outcome.out) == {"id": job.id, "queue": "mails", "task": "shop.send"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["send"], "tasks:app has no task send; did you mean shop.send?"),
        (["other"], "tasks:app has no task other; it has shop.send"),
        (["shop.send", "--args", "{"], "--args is not JSON: "),
        (["shop.send", "--args", "{}"], "--args must be a JSON array, got {}"),
        (["shop.send", "--kwargs", "[]"], "--kwargs must be a JSON object, got []"),
        (["shop.send"], "shop.send("),
        (["shop.send", "--args", '["a", "soon"]'], "argument at: "),
        (["shop.send", "--args", '["a"]', "--delay", "-1"], "defer_by must be between 0 and "),
        (["shop.send", "--args", '["a"]', "--job-id", "a b"], "job_id 'a b' is not of the form"),
    ],
)
def test_enqueue_of_wrong_call_stores_nothing(
    project: Project, broker: FarBroker, words: list[str], error: str
) -> None:
    """The line says what does not fit, and the exit code is 2."""
    outcome = project.aioq("enqueue", "tasks:app", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"aioq: enqueue: {error}")
    assert stored(project, broker) == []


def test_enqueue_into_memory_broker_is_rejected(project: Project) -> None:
    """A worker could not see the job."""
    project.write("tasks.py", TASKS.replace("FarBroker())", '"memory://")'))
    outcome = project.aioq("enqueue", "tasks:app", "shop.send", "--args", '["a"]')
    assert outcome.code == 78
    assert outcome.err.startswith("aioq: enqueue: the app uses the memory broker: a worker cannot see jobs")
