"""Makes the apps of the chaos suite's workers; environment variables name the server and the log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aioq import Aarq
from aioq.backends import RedisBroker
from tests.chaos.run_log import RunLog

__all__ = ["KINDS", "environment", "make_app", "record_run"]

KINDS = ("each", "unique", "schedule")
"""How an entry may fire: on each worker, once for the fleet, as a job."""


def environment(url: str, namespace: str, runs: Path) -> dict[str, str]:
    """Return the environment variables that `make_app` reads in a worker process."""
    return {"CHAOS_URL": url, "CHAOS_NAMESPACE": namespace, "CHAOS_RUNS": str(runs)}


def make_app() -> Aarq:
    """Return an app on the server and in the namespace that the environment names."""
    return Aarq(RedisBroker(os.environ["CHAOS_URL"], namespace=os.environ["CHAOS_NAMESPACE"]), name="chaos")


async def record_run(ctx: dict[str, Any]) -> None:
    """Append the run of a tick to the run log."""
    RunLog(Path(os.environ["CHAOS_RUNS"])).write(ctx)
