"""Writes the records of ticks as text and as JSON."""

from __future__ import annotations

from datetime import tzinfo

from aioq.cli.times import format_duration, iso_time
from aioq.clock import stored_time
from aioq.model.cron import TickRecord

__all__ = ["duration_text", "lateness_text", "record_as_json"]


def lateness_text(record: TickRecord) -> str:
    """Return how late a tick fired; empty if it did not fire."""
    return "" if record.fired_at is None else f"{format_duration(record.late)} late"


def duration_text(record: TickRecord) -> str:
    """Return how long the run took; empty if it has not ended."""
    if record.fired_at is None or record.finished_at is None:
        return ""
    return format_duration(max(0.0, record.finished_at - record.fired_at))


def record_as_json(record: TickRecord, zone: tzinfo) -> dict[str, object]:
    """Return a record for `--json`, with its tick in `zone`."""
    return {
        "tick": stored_time(record.tick, zone).isoformat(),
        "status": str(record.status),
        "reason": record.reason,
        "count": record.count,
        "late": record.late if record.fired_at is not None else None,
        "fired_at": iso_time(record.fired_at),
        "finished_at": iso_time(record.finished_at),
        "worker_id": record.worker_id,
        "job_id": record.job_id,
        "error": record.error,
    }
