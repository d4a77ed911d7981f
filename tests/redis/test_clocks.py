"""Workers whose clocks are wrong: the server's is the one that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio

from aioq import Aarq, Worker
from aioq.clock import SystemClock
from aioq_redis import RedisBroker

HOUR = 3600.0


class WrongClock(SystemClock):
    """The host's clock, set wrong."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> float:
        """Return the wrong time."""
        return super().time() + self._seconds


async def test_worker_with_a_wrong_clock_keeps_to_the_servers(make_broker: Callable[..., RedisBroker]) -> None:
    """With clocks an hour off, a delayed job starts when it is due, and no live lease is reaped."""
    client = Aarq(make_broker())
    starts: list[float] = []

    async def work(_: object) -> None:
        starts.append(await client.broker.time())
        await asyncio.sleep(2.5)  # several leases

    task = client.task(name="work")(work)
    for offset in (-HOUR, 0.0, HOUR):
        app = Aarq(make_broker())
        app.task(name="work")(work)
        worker = Worker(app, lease=1, clock=WrongClock(offset), handle_signals=False)
        other = Worker(app, lease=1, clock=WrongClock(-offset), handle_signals=False)
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            tg.start_soon(other.run)
            due = await client.broker.time() + 1
            job = await task.options(defer_by=1.0).enqueue()
            await job.result(timeout=10)
            worker.stop()
            other.stop()
        assert len(starts) == 1
        assert due - 0.01 <= starts.pop() <= due + 1
