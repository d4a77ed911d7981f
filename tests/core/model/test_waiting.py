"""What a job waits for is decided from its record, the orders in force, and the workers that are up."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from aioq.model.job import JobRecord
from aioq.model.states import JobState
from aioq.model.stops import Stop
from aioq.model.tasks import TaskInfo
from aioq.model.waiting import ConditionKind, conditions_of
from aioq.model.workers import WorkerInfo

NOW = 1000.0
TIME, PAUSE, STOP, WORKER, TASK, SLOT = ConditionKind

JOB = JobRecord(
    id="a",
    queue="q",
    task="work",
    state=JobState.PENDING,
    payload=b"",
    priority=5,
    attempt=0,
    crashes=0,
    enqueued_at=900.0,
)
WORK = TaskInfo("work", "q", ())
UP = WorkerInfo(
    id="w1", queues=("q", "r"), concurrency=2, running=1, hostname="h", pid=1, started_at=0.0, tasks=(WORK,)
)


def found(record: JobRecord = JOB, **given: Any) -> list[tuple[ConditionKind, bool | None]]:
    """Return the conditions of a job in short; by default of one that a worker is about to claim."""
    values: dict[str, Any] = {"now": NOW, "stops": [], "workers": [UP], **given}
    return [(condition.kind, condition.met) for condition in conditions_of(record, **values)]


def stop(queue: str = "q", task: str | None = None, note: str = "") -> Stop:
    """Return an order of a person."""
    return Stop(queue=queue, task=task, note=note, by="ada", since=1.0)


def test_conditions_all_met() -> None:
    """A due job with a worker that has a slot waits for nothing."""
    assert found() == [(TIME, True), (WORKER, True), (TASK, True), (SLOT, True)]


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED])
def test_conditions_of_job_that_does_not_wait(state: JobState) -> None:
    """A job that runs or has ended waits for nothing."""
    assert found(structs.replace(JOB, state=state), stops=[stop()], workers=[]) == []


def test_conditions_unmet_come_first() -> None:
    """What keeps the job waiting comes before what does not, in one order."""
    waiting = structs.replace(JOB, state=JobState.RETRYING, run_at=NOW + 5)
    busy = structs.replace(UP, running=2)
    orders = [stop(), stop(task="work"), stop(task="other"), stop(queue="r")]
    assert found(waiting, stops=orders, workers=[busy]) == [
        (TIME, False), (PAUSE, False), (STOP, False), (SLOT, False), (WORKER, True), (TASK, True),
    ]  # fmt: skip
    first = conditions_of(waiting, now=NOW, stops=None, workers=None)
    assert [(one.kind, one.until) for one in first] == [(TIME, NOW + 5)]


def test_conditions_of_workers() -> None:
    """Only workers of the queue count, only those that know the task have slots for it, and a cut list is no proof."""
    elsewhere = structs.replace(UP, queues=("r",))
    assert found(workers=[elsewhere]) == [(WORKER, False), (TIME, True)]
    other = structs.replace(UP, tasks=(structs.replace(WORK, name="other"),), running=0)
    assert found(workers=[other, elsewhere]) == [(TASK, False), (TIME, True), (WORKER, True), (SLOT, True)]
    assert found(workers=[structs.replace(other, tasks_left_out=3)])[0] == (TASK, None)
    assert found(workers=[other, structs.replace(UP, running=2)])[0] == (SLOT, False)
    assert found(workers=None) == [(TIME, True)]


def test_conditions_name_who_and_why() -> None:
    """The sentence of an order names the person, and the reason if there is one."""
    texts = [
        one.text for one in conditions_of(JOB, now=NOW, stops=[stop(note="disk full"), stop(task="work")], workers=[])
    ]
    assert texts == [
        "Queue q is paused by ada: “disk full”.",
        "The task work is stopped by ada.",
        "No worker that is up consumes queue q.",
        "It is due.",
    ]
