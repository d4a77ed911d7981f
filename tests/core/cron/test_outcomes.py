"""The records of ticks with the states of their jobs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from aioq.cron.outcomes import with_job_state
from aioq.model.cron import TickRecord, TickStatus
from aioq.model.job import Failure, JobRecord
from aioq.model.states import JobState

NOON = 1_767_614_400.0
FIRED = TickRecord(name="remind", queue="default", tick=NOON, status=TickStatus.FIRED, fired_at=NOON, job_id="j")
JOB = JobRecord(
    id="j", queue="default", task="remind", state=JobState.COMPLETED, payload=b"", priority=5, attempt=1, crashes=0,
    enqueued_at=NOON, finished_at=NOON + 3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("job", "status", "text"),
    [
        (JOB, TickStatus.OK, ""),
        (replace(JOB, state=JobState.FAILED, failure=Failure("OSError", "disk\nfull")), TickStatus.FAILED, r"OSError: disk\nfull"),
        (replace(JOB, state=JobState.DEAD, reason="crashed"), TickStatus.FAILED, "job dead: crashed"),
        (replace(JOB, state=JobState.CANCELLED), TickStatus.FAILED, "job cancelled"),
        (replace(JOB, state=JobState.RUNNING, finished_at=None), TickStatus.FIRED, "job running"),
        (None, TickStatus.FIRED, "its job has expired"),
    ],
)  # fmt: skip
def test_with_job_state_takes_outcome_of_job(job: JobRecord | None, status: TickStatus, text: str) -> None:
    """A tick ends as its job has ended."""
    record = with_job_state(FIRED, job)
    assert (record.status, record.reason or record.error) == (status, text)
    assert record.finished_at == (job.finished_at if job else None)
