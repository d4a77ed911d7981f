"""How long records of ended jobs are kept: never longer than asked for, whether workers run or not."""

from __future__ import annotations

from typing import Any

import pytest

from aioq.model.job import Completed, Dead
from aioq.model.states import FINAL_STATES
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, let_pass


async def end_jobs(broker: RedisBroker, order: str) -> None:
    """End jobs in an order of states: `c` completed and kept for 50 ms, `d` dead, `x` cancelled."""
    for n, state in enumerate(order):
        id = f"{state}-{n}"
        await broker.enqueue([job(id)])
        if state == "x":
            await broker.cancel_job(id, queue="q")
            continue
        (lease,) = await claim(broker, 1)
        completed = Completed(lease=lease, retain_for=0.05)
        await broker.settle([completed if state == "c" else Dead(lease=lease, reason="malformed")])


@pytest.mark.parametrize("order", ["cxd", "dxc", "cdcxc", "xcc"])
async def test_index_lives_as_long_as_the_records(broker: RedisBroker, raw: Any, namespace: str, order: str) -> None:
    """No index of ended jobs expires before the hash that has their records."""
    await end_jobs(broker, order)
    names = [f"{{{namespace}:q}}:{name}" for name in ("ended", *FINAL_STATES)]
    pipeline = raw.pipeline(transaction=True)
    for name in names:
        pipeline.pttl(name)
    ended, *indexes = pipeline.execute()
    assert ended > 0
    assert [ttl for ttl in indexes if ttl != -2 and not ended - 5 <= ttl <= ended + 5] == []


async def test_cancel_without_workers_removes_expired_records(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """Without a worker that reaps, a client that cancels jobs removes the records whose time is over."""
    await end_jobs(broker, "ccc")
    await let_pass(broker, 0.1)
    await end_jobs(broker, "x")
    assert raw.hkeys(f"{{{namespace}:q}}:ended") == [b"x-0"]
