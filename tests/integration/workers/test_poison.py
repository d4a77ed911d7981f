"""A job that kills its workers, among others that do nothing of the kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from aioq import JobState
from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import Client, wait_until

HOLD = """
@app.task(name="hold")
async def hold(ctx, gate: str) -> str:
    tell("started", gate=gate)
    if gate == "poison":
        await anyio.sleep(0.05)
        os._exit(9)
    await anyio.sleep(0.2)
    return gate
"""
INNOCENTS = 20


def test_a_poison_job_ends_dead_and_takes_no_innocent_along(
    start_worker: StartWorker, client: Client, write_tasks: Callable[[str], None]
) -> None:
    """It starts three times at most; all others complete, none with a crash of its last and lonely run."""
    write_tasks(HOLD)
    innocents = [client.hold(Path(str(n))) for n in range(INNOCENTS)]
    poison = client.hold(Path("poison"))
    innocents += [client.hold(Path(str(n))) for n in range(INNOCENTS, INNOCENTS + 5)]
    began = time.time()
    starts = 0
    for _ in range(3):  # as a supervisor would start it again
        worker = start_worker("--lease", "1", "-c", "30")
        assert worker.wait() == 9
        starts += sum(event["gate"] == "poison" for event in worker.events("started"))
    last = start_worker("--lease", "1", "-c", "30")
    wait_until("the end of the poison job", lambda: client.record(poison).state is JobState.DEAD)
    assert time.time() - began < 20
    record = client.record(poison)
    assert (record.reason, record.crashes, starts) == ("crashed", 3, 3)
    assert sorted(map(client.result, innocents), key=int) == [str(n) for n in range(INNOCENTS + 5)]
    assert max(client.record(job_id).crashes for job_id in innocents) <= 2
    assert "poison" not in [event["gate"] for event in last.events("started")]
