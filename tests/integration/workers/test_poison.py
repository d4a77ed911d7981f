"""A job that crashes its workers, among other jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aioq import JobState
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client, wait_until

HOLD = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    emit("started", gate=gate)
    if gate == "poison":
        await anyio.sleep(0.05)
        os._exit(9)
    await anyio.sleep(0.2)
    return gate
"""
OTHER_JOBS = 20


def test_poison_job_ends_dead_and_other_jobs_complete(
    start_worker: StartWorker, client: Client, write_tasks: Callable[[str], None]
) -> None:
    """A job that crashes its worker starts three times at most, and all other jobs complete."""
    write_tasks(HOLD)
    others = [client.hold(Path(str(n))) for n in range(OTHER_JOBS)]
    poison = client.hold(Path("poison"))
    others += [client.hold(Path(str(n))) for n in range(OTHER_JOBS, OTHER_JOBS + 5)]
    starts = 0
    for _ in range(3):  # as a supervisor restarts it
        worker = start_worker("--lease", "1", "-c", "30")
        assert worker.wait() == 9
        starts += sum(event["gate"] == "poison" for event in worker.events("started"))
    last = start_worker("--lease", "1", "-c", "30")
    wait_until("the end of the poison job", lambda: client.record(poison).state is JobState.DEAD)
    record = client.record(poison)
    assert (record.reason, record.crashes, starts) == ("crashed", 3, 3)
    assert sorted(map(client.result, others), key=int) == [str(n) for n in range(OTHER_JOBS + 5)]
    assert max(client.record(job_id).crashes for job_id in others) <= 2
    assert "poison" not in [event["gate"] for event in last.events("started")]
