"""Shows which ticks of the past a backfill would fire, before it does."""

from __future__ import annotations

from typing import Final

from aioq.cron.outcomes import reason_text
from aioq.model.cron import CronKey, TickRecord
from aioq.protocols import TickLedger
from aioq_web.actions.crons import entry_of
from aioq_web.backfill import Span
from aioq_web.view import NotFound, Page, View

__all__ = ["backfill"]

SHOWN: Final = 200
"""Ticks that are listed."""


async def backfill(view: View) -> Page:
    """Show the ticks between two times, with what is recorded of each."""
    key = CronKey(view.steps["queue"], view.steps["name"])
    entry = entry_of(view, key)
    if entry is None:
        raise NotFound(f"there is no cron {key.name} of queue {key.queue} in this code")
    span = Span.of(entry, view.query, view.now)
    ledger = view.feature(TickLedger)
    records = await ledger.tick_history(key) if ledger and span.ticks else []
    # Oldest first: of several workers' records of one tick the newest is shown.
    by_tick = {record.tick: record for record in reversed(records)}
    values = {
        "entry": entry,
        "span": span,
        "rows": [
            (tick.astimezone(entry.zone), _recorded(by_tick.get(tick.timestamp()))) for tick in span.ticks[:SHOWN]
        ],
        "can_fire": entry.job is not None,
    }
    return Page("backfill.html", f"Backfill {key.name}", values)


def _recorded(record: TickRecord | None) -> str:
    return " ".join(text for text in (str(record.status), reason_text(record)) if text) if record else ""
