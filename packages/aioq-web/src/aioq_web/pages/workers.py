"""Shows the workers, and how many of their slots are taken."""

from __future__ import annotations

from aioq_web.view import Page, View

__all__ = ["workers"]

MAX_SHOWN = 200

RUNS_SHOWN = 5
"""Runs of a worker that are shown, the oldest."""


async def workers(view: View) -> Page:
    """Show the workers that are up: those with stuck slots first, then the oldest."""
    found = view.snapshot.workers
    rows = sorted(found or (), key=lambda worker: (-worker.stuck, worker.started_at))
    values = {
        "rows": rows[:MAX_SHOWN],
        "left_out": max(0, len(rows) - MAX_SHOWN),
        "taken": sum(worker.running for worker in rows),
        "slots": sum(worker.concurrency for worker in rows),
        "kept": found is not None,
        "runs_shown": RUNS_SHOWN,
    }
    return Page("workers.html", "Workers", values)
