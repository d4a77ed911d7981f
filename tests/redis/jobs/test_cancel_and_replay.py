"""A job that is cancelled and replayed at once: the late news of the cancellation must not hit the replay."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from aioq import Aarq, Worker
from aioq_redis import RedisBroker
from tests import servers

ROUNDS = 100


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do: the order of its messages does not depend on it."""
    return servers.first()


async def test_cancel_with_replay_never_cancels_the_replay(
    broker: RedisBroker, make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """Of many jobs that are cancelled and replayed together, no replay loses its lease."""
    app = Aarq(broker)
    started: dict[str, asyncio.Event] = {}

    @app.task(name="hold")
    async def hold(ctx: dict[str, Any]) -> int:
        first = ctx["epoch"] == 1
        if first:
            started[ctx["job_id"]].set()
        await asyncio.sleep(30 if first else 0.02)
        return int(ctx["epoch"])

    client = make_broker()
    await client.connect()
    worker = Worker(app, lease=1, handle_signals=False)
    running = asyncio.ensure_future(worker.run())
    replayed = 0
    for number in range(ROUNDS):
        id = f"job-{number}"
        started[id] = asyncio.Event()
        job = await hold.options(job_id=id).enqueue()
        await started[id].wait()
        _, again = await asyncio.gather(client.cancel_job(id, queue=job.queue), client.retry_job(id, queue=job.queue))
        if again:
            replayed += 1
            assert (id, await job.result(timeout=30)) == (id, 2)
            record = await broker.get_job(id, queue=job.queue)
            assert record is not None
            assert record.crashes == 0
    worker.stop()
    await running
    assert replayed > ROUNDS / 2
    # The worker may learn of the cancellation by the next heartbeat: then the first run has lost its lease, no replay.
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in warnings if getattr(record, "epoch", 2) > 1] == []
