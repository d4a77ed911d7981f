"""The logger that every duty writes to, and how a job is named there.

Users configure and search one logger. Names and ids may come from anybody who can write to
the broker: they are shown so that they cannot break out of their line.
"""

from __future__ import annotations

import logging
from typing import Any

from aioq.model.job import Lease
from aioq.serialization.failure import one_line

__all__ = ["extra", "job_of", "logger", "shown"]

logger = logging.getLogger("aioq.worker")

LONGEST = 200
"""Characters that a name or an id may have, and no more are shown of it."""


def shown(name: str) -> str:
    """Return a name or an id as it may stand in a line of the log."""
    return one_line(name, LONGEST)


def job_of(lease: Lease) -> str:
    """Return what messages call a leased job: its id and its task."""
    return f"job {shown(lease.job_id)} of {shown(lease.task)}"


def extra(lease: Lease) -> dict[str, Any]:
    """Return the facts about a leased job that every record of it carries, for machines to read."""
    return {"job_id": lease.job_id, "task": lease.task, "attempt": lease.attempt, "epoch": lease.epoch}
