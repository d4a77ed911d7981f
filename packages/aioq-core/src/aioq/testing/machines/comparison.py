"""Compares the answers of a broker with those of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from aioq.model.job import Claim, ClaimRequest, JobRecord, Lease, QueueStats
from aioq.model.states import JobState
from aioq.model.suspects import part_of
from aioq.options import latest_start
from aioq.testing.models.jobs import WAITING, JobModel, ModelJob

__all__ = ["assert_counts", "assert_next_due", "assert_order", "assert_record", "expected_jobs", "expected_lease"]


def expected_jobs(model: JobModel, request: ClaimRequest, claim: Claim) -> list[ModelJob]:
    """Return what a claim should bring, given how long it tells its worker to be alone.

    Any queue with a suspect may be the reason for that: a claim that went on brought something. Which observed jobs
    a claim brings is for the broker to say.
    """
    taken: list[ModelJob] = []
    passed_over = False
    for queue in request.queues:
        line, suspects, left = model.in_order(queue), model.suspects(queue), request.limit - len(taken)
        busy = request.running or taken
        if suspects and left and claim.alone_for:
            first = claim.leases[0] if claim.leases and not busy else None
            if first and first.queue == queue and first.job_id in suspects:
                return [suspects[first.job_id]]
            if len(claim.leases) <= len(taken):
                return taken
        observed = model.observed(queue) if request.observes else []
        keys = [(lease.queue, lease.job_id) for lease in claim.leases]
        part = [job for key in keys for job in observed if job.job.key == key]
        assert len(part) <= min(left, part_of(len(observed)))
        passed_over |= bool(left) and bool(observed or (suspects and not busy))
        taken += part
        taken += line[: left - len(part)]
    assert not claim.alone_for
    assert taken or not passed_over, "a worker passes over a job that crashed, and goes without a job"
    return taken


def expected_lease(job: ModelJob, got: Lease) -> Lease:
    """Return the lease of a claimed job; only the broker knows exactly when the job was enqueued."""
    starts = latest_start(got.enqueued_at, expires=job.job.expires, delay=job.job.delay)
    return Lease(
        job_id=job.job.id,
        queue=job.job.queue,
        epoch=job.epoch,
        worker_id=job.worker_id,
        task=job.job.task,
        payload=job.job.payload,
        attempt=job.attempt,
        crashes=job.crashes,
        priority=job.job.priority,
        enqueued_at=got.enqueued_at,
        probation=got.probation,
        expires_at=starts if job.may_expire else None,
        max_crashes=job.job.max_crashes,
        hand_backs=job.hand_backs,
        wait=got.wait,
        headers=job.job.headers,
    )


def assert_order(model: JobModel, leases: Sequence[Lease], expected: Sequence[ModelJob], *, exact: bool) -> None:
    """Compare the jobs of a claim; without `exact`, only their queues and priorities, and that they are due."""
    if exact:
        assert [(lease.queue, lease.job_id) for lease in leases] == [job.job.key for job in expected]
        return
    ranks = [(lease.queue, lease.priority) for lease in leases]
    assert ranks == [(job.job.queue, job.job.priority) for job in expected]
    found = [model.jobs[lease.queue, lease.job_id] for lease in leases]
    assert all(model.is_due(job) and not model.waits(job) for job in found)


def assert_next_due(model: JobModel, next_due: float | None, queues: Sequence[str], *, within: float) -> None:
    """Compare the time until the next job is due, which may differ by `within` seconds."""
    later = [
        job.due_at - model.now
        for job in model.jobs.values()
        if job.state in WAITING
        and job.job.queue in queues
        and not model.is_due(job)
        and job.job.queue not in model.paused
    ]
    assert (next_due is None) == (not later)
    assert next_due is None or abs(next_due - min(later)) < within


def assert_record(model: JobModel, record: JobRecord | None, job: ModelJob | None) -> None:
    """Compare the record of a job."""
    assert (record is None) == (job is None)
    if record is None or job is None:
        return
    assert record.state is job.state or (model.is_due(job) and record.state in WAITING)
    assert (record.queue, record.priority, record.payload) == (job.job.queue, job.job.priority, job.job.payload)
    assert (record.attempt, record.crashes, record.reason) == (job.attempt, job.crashes, job.reason)
    assert (record.hand_backs, record.headers) == (job.hand_backs, job.job.headers)
    if job.state is JobState.RUNNING:
        assert record.worker_id == job.worker_id
    if job.state is JobState.COMPLETED:
        assert record.result == job.result


def assert_counts(model: JobModel, queues: Iterable[QueueStats]) -> None:
    """Compare the numbers of jobs of each queue."""
    expected: Counter[tuple[str, str]] = Counter()
    for job in model.jobs.values():
        kind = "waiting" if job.state in WAITING else job.state.value
        expected[job.job.queue, kind] += 1
    for stats in queues:
        counted = (stats.pending + stats.scheduled, stats.running, stats.dead, stats.expired)
        kinds = ("waiting", "running", "dead", "expired")
        assert counted == tuple(expected[stats.queue, kind] for kind in kinds)
