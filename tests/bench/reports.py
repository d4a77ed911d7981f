"""An app with a task for stored schedules, whose jobs do nothing."""

from __future__ import annotations

import os
from typing import Any

from aioq import Aarq
from aioq.backends import RedisBroker

__all__ = ["TASK", "app", "app_at"]

TASK = "report"


def app_at(url: str) -> Aarq:
    """Return the app with the broker at an address."""
    app = Aarq(RedisBroker(url), name="bench")
    app.task(name=TASK, save_result=False)(_report)
    return app


async def _report(ctx: dict[str, Any], customer: int) -> None:
    """Do nothing."""


app = app_at(os.environ.get("BENCH_URL", "redis://localhost:6379"))
