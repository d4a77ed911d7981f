"""Running workers whose runs need not end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict, Unpack

import anyio

from aioq import Aarq, Worker
from aioq.clock import Clock
from tests.core.rig import TIMEOUT


class Options(TypedDict, total=False):
    """What a test says of its worker, but for the clock."""

    queues: list[str]
    concurrency: int
    grace: float
    poll: float
    id: str


@asynccontextmanager
async def up(app: Aarq, clock: Clock, **options: Unpack[Options]) -> AsyncGenerator[Worker, None]:
    """Run a worker beside the block, and abort it after: what it runs is cut short."""
    worker = Worker(app, clock=clock, handle_signals=False, **options)
    with anyio.fail_after(TIMEOUT):
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            yield worker
            worker.stop()
            worker.stop()
