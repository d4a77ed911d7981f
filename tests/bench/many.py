"""An app with any number of entries, none of which is due for months."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from aioq import Aarq
from aioq.backends import RedisBroker

__all__ = ["app"]

app = Aarq(RedisBroker(os.environ["BENCH_URL"]), name="bench")


async def never(ctx: dict[str, Any]) -> None:
    """Do nothing, in months."""


far = datetime.now(UTC) + timedelta(days=90)
for number in range(int(os.environ["BENCH_CRONS"])):
    expression = f"{number % 60} {number // 60 % 24} {far.day % 28 + 1} {far.month} *"
    app.cron(expression, name=f"n{number}", unique=number % 2 == 1)(never)
