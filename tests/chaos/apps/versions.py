"""The entries of each deployed version with the seconds between their ticks, and the task that the second adds."""

from __future__ import annotations

from typing import Any

from aioq import Aarq
from aioq.task import Task

__all__ = ["RETRIES", "VERSIONS", "define_added_task"]

RETRIES = 2
"""How often the added task fails before it completes."""

VERSIONS = {"1": {"kept": 1, "changed": 2, "removed": 1}, "2": {"kept": 1, "changed": 3, "added": 1}}


def define_added_task(app: Aarq) -> Task[[], None]:
    """Define the task that only the second version has; it needs all attempts that it is allowed."""

    @app.task(name="added", retries=RETRIES, retry_delay=0.05)
    async def added(ctx: dict[str, Any]) -> None:
        if ctx["attempt"] <= RETRIES:
            raise ValueError("not yet")

    return added
