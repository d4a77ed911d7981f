"""An app whose jobs do nothing but use a core for a while. Its workers begin when they are told, all at once."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from aioq import Aarq
from aioq.backends import RedisBroker

__all__ = ["app", "spin"]

GATE = os.environ.get("BENCH_GATE", "")
"""A folder: each worker puts a file into it when it is ready, and waits there for one called `open`."""


@asynccontextmanager
async def gate(app: Aarq) -> AsyncGenerator[None]:
    """Wait for the others."""
    if GATE:
        await anyio.Path(GATE, f"ready-{os.getpid()}").touch()
        while not await anyio.Path(GATE, "open").exists():
            await anyio.sleep(0.002)
    yield


app = Aarq(RedisBroker(os.environ.get("BENCH_URL", "redis://localhost:6379")), name="bench", lifespan=gate)


@app.task(name="spin", save_result=False)
async def spin(ctx: dict[str, Any], seconds: float) -> None:
    """Use so much processor time, wherever it is given."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
