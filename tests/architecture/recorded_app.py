"""The app whose `aioq cron list` is recorded."""

from __future__ import annotations

import os
from typing import Any

from aioq import Aarq

__all__ = ["app"]

app = Aarq(os.environ.get("WALK_URL", "memory://"), name="walks")


@app.cron("0 9 * * *", name="report", unique=True)
async def report(ctx: Any) -> None:
    """Do nothing."""
