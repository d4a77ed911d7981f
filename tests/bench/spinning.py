"""An app whose jobs do nothing but use a core for a while."""

from __future__ import annotations

import os
import time
from typing import Any

from aioq import Aarq
from aioq.backends import RedisBroker

__all__ = ["app", "spin"]

app = Aarq(RedisBroker(os.environ.get("BENCH_URL", "redis://localhost:6379")), name="bench")


@app.task(name="spin", save_result=False)
async def spin(ctx: dict[str, Any], seconds: float) -> None:
    """Use so much processor time, wherever it is given."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
