"""A worker that crashes between its calls to the broker: no job is lost, and each completes once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from aioq import JobState
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client

TASKS = """
from aioq.model.job import Completed, Settled

POINT = {point!r}


def die(here):
    died = Path("died")
    if here == POINT and not died.exists():
        died.touch()
        os._exit(7)


class Keeper:
    def __init__(self, real):
        self.real = real

    def extend(self, leases, *, seconds):
        if leases:
            die("before extend")
        lost = self.real.extend(leases, seconds=seconds)
        if leases:
            die("after extend")
        return lost

    def close(self):
        self.real.close()


class Dying(RedisBroker):
    async def claim(self, request):
        claim = await super().claim(request)
        if claim.leases:
            die("after claim")
        return claim

    async def settle(self, settlements):
        die("before settle")
        answers = await super().settle(settlements)
        for settlement, answer in zip(settlements, answers):
            if isinstance(settlement, Completed) and answer is Settled.DONE:
                emit("done", job_id=settlement.lease.job_id)
        die("after settle")
        return answers

    async def reap(self, queues, **options):
        reaped = await super().reap(queues, **options)
        if reaped:
            die("after reap")
        return reaped

    def keeper(self, **options):
        return Keeper(super().keeper(**options))


app.broker = Dying(os.environ["TEST_URL"], namespace=os.environ["TEST_NAMESPACE"])


@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", job_id=ctx["job_id"])
    await anyio.sleep(float(gate))
    return gate
"""
POINTS = ["after claim", "before settle", "after settle", "before extend", "after extend"]


@pytest.mark.parametrize("point", POINTS)
def test_worker_crash_at_any_point_loses_no_job(
    start_worker: StartWorker, client: Client, write_tasks: Callable[[str], None], point: str
) -> None:
    """Whatever the worker did just before, each job completes once, and at most one crash is counted."""
    write_tasks(TASKS.format(point=point))
    jobs = [client.hold(Path(seconds)) for seconds in ("0.0", "0.1", "0.6", "0.6", "0.6")]
    first = start_worker("--lease", "1")
    assert first.wait() == 7
    second = start_worker("--lease", "1")
    assert [client.result(job_id) for job_id in jobs] == ["0.0", "0.1", "0.6", "0.6", "0.6"]
    for job_id in jobs:
        record = client.record(job_id)
        assert record.state is JobState.COMPLETED
        assert record.crashes <= 1
        assert record.attempt - record.crashes == 1
    second.wait_for_event("done", times=len(jobs) - len(first.events("done")))
    done = Counter(event["job_id"] for worker in (first, second) for event in worker.events("done"))
    assert done == dict.fromkeys(jobs, 1)


def test_worker_crash_after_reap_loses_no_job(
    start_worker: StartWorker, client: Client, write_tasks: Callable[[str], None], tmp_path: Path
) -> None:
    """A job that the crashed worker had reaped from another one is pending, and completes."""
    write_tasks(TASKS.format(point="after claim"))
    job_id = client.hold(Path("0.1"))
    assert start_worker("--lease", "1").wait() == 7
    (tmp_path / "died").unlink()
    write_tasks(TASKS.format(point="after reap"))
    assert start_worker("--lease", "1").wait() == 7
    start_worker("--lease", "1")
    assert client.result(job_id) == "0.1"
    assert client.record(job_id).crashes <= 2  # it may have claimed the job that it had just reaped
