"""Bids, entries and records in few words, all of the entry `report` of queue `q`."""

from __future__ import annotations

from itertools import count
from typing import Any

from aioq.model.cron import CronDefinition, CronKey, TickClaim, TickRecord, TickRun, TickStatus

__all__ = ["KEY", "bid", "entry", "record", "run_of"]

KEY = CronKey("q", "report")

_requests = count(1)


def bid(*ticks: float, worker: str = "w1", **changes: Any) -> TickClaim:
    """Return a claim that was never made before."""
    fields: dict[str, Any] = {
        "name": "report",
        "queue": "q",
        "fingerprint": "f",
        "request_id": f"bid-{next(_requests)}",
        **changes,
    }
    return TickClaim(ticks=ticks, worker_id=worker, **fields)


def entry(name: str = "report", **changes: Any) -> CronDefinition:
    """Return an entry as code has it."""
    fields: dict[str, Any] = {
        "queue": "q",
        "name": name,
        "kind": "cron",
        "expression": "* * * * *",
        "tz": "UTC",
        "fingerprint": "f",
        "unique": True,
        **changes,
    }
    return CronDefinition(**fields)


def record(tick: float, status: TickStatus = TickStatus.OK, **changes: Any) -> TickRecord:
    """Return a record of one tick, by the worker `w1`."""
    fields: dict[str, Any] = {"name": "report", "queue": "q", "tick": tick, "status": status, "worker_id": "w1"}
    return TickRecord(**{**fields, **changes})


def run_of(tick: float, worker: str = "w1") -> TickRun:
    """Return the run of a tick."""
    return TickRun(name="report", queue="q", tick=tick, worker_id=worker)
