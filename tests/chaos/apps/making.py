"""The app of a worker that is put through something: where it is, and what it writes down, by environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aioq import Aarq
from aioq.backends import RedisBroker
from tests.chaos.runs import RunLog

__all__ = ["KINDS", "environment", "make_app", "note"]

KINDS = ("each", "unique", "schedule")
"""The ways in which an entry may fire: on each worker, once for the fleet, as a job."""


def environment(url: str, namespace: str, runs: Path) -> dict[str, str]:
    """Return the variables that tell a worker process what `make_app` needs to know."""
    return {"CHAOS_URL": url, "CHAOS_NAMESPACE": namespace, "CHAOS_RUNS": str(runs)}


def make_app() -> Aarq:
    """Return an app on the server and in the namespace of this process's environment."""
    return Aarq(RedisBroker(os.environ["CHAOS_URL"], namespace=os.environ["CHAOS_NAMESPACE"]), name="chaos")


async def note(ctx: dict[str, Any]) -> None:
    """Write down that the tick of `ctx` has been fired."""
    RunLog(Path(os.environ["CHAOS_RUNS"])).note(ctx)
