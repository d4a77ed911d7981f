"""Shows the crons: whether each will fire, did fire, and was on time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from aioq.cli.cron.overview import EntryOverview, entry_overviews, firing_mode
from aioq.cli.cron.tick_text import reason_text
from aioq.cron.schedule import ExplainedSchedule
from aioq.model.cron import CronKey, TickRecord
from aioq.protocols import TickLedger
from aioq_web.charts.ticks import Mark, strip
from aioq_web.paging import slice_of
from aioq_web.text import duration
from aioq_web.view import Page, View

__all__ = ["CronRow", "cron_rows", "crons", "tick_title"]

ROWS: Final = 50
"""Entries of one page."""

TICKS: Final = 30
"""Ticks of a strip in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronRow:
    """One entry of the list."""

    overview: EntryOverview
    words: str
    """When it fires, in words; empty if its schedule cannot say it."""
    marks: Sequence[Mark] = ()

    @property
    def name(self) -> str:
        """The name of the entry."""
        return self.overview.definition.name

    @property
    def queue(self) -> str:
        """The queue of the entry."""
        return self.overview.definition.queue

    @property
    def mode(self) -> str:
        """How often it fires at one tick."""
        return firing_mode(self.overview.definition)

    @property
    def next(self) -> float | None:
        """The next tick that fires, in seconds since 1970."""
        runs = self.overview.next.runs
        return runs[0].timestamp() if runs and self.overview.can_fire else None

    @property
    def overdue(self) -> float | None:
        """The oldest tick that should have a record and has none."""
        return self.overview.overdue.timestamp() if self.overview.overdue else None

    @property
    def state(self) -> tuple[str, str, str]:
        """The class, the icon and the word of the state."""
        overview = self.overview
        if overview.status and overview.status.pause:
            return "paused", "paused", "paused"
        if not overview.in_code:
            return "cancelled", "cancelled", "not in the code"
        if not overview.definition.enabled:
            return "cancelled", "cancelled", "disabled"
        if overview.overdue:
            return "retrying", "missed", "overdue"
        if overview.next.error:
            return "failed", "failed", "fails"
        if not overview.next.runs:
            return "cancelled", "cancelled", "ended"
        last = overview.status.last if overview.status else None
        return _state_of(last)


def _state_of(last: TickRecord | None) -> tuple[str, str, str]:
    if last is None:
        return "pending", "scheduled", "none yet"
    icon = {"ok": "completed", "fired": "running"}.get(str(last.status), str(last.status))
    return icon, icon, str(last.status)


async def crons(view: View) -> Page:
    """Show the entries of the app, those that need a person first, then by their next tick."""
    text = view.query.get("q", "").strip()
    rows = [row for row in cron_rows(view) if text.lower() in f"{row.queue} {row.name}".lower()]
    shown = slice_of(view, rows, ROWS)
    marks = await _marks(view, [row.overview.definition.key for row in shown.items])
    with_marks = [replace(row, marks=marks.get(row.overview.definition.key, ())) for row in shown.items]
    values = {
        "rows": with_marks,
        "slice": replace(shown, items=with_marks),
        "text": text,
        "kept": view.snapshot.crons is not None,
    }
    return Page("crons.html", "Crons", values)


def cron_rows(view: View) -> list[CronRow]:
    """Return a row for each entry: overdue ones first, then by their next tick."""
    now = datetime.fromtimestamp(view.now, UTC)
    overviews = entry_overviews(view.app.crons, view.snapshot.crons or (), now)
    rows = [CronRow(overview=overview, words=_words(view, overview)) for overview in overviews]
    return sorted(rows, key=lambda row: (row.overdue is None, row.next or float("inf"), row.name))


def _words(view: View, overview: EntryOverview) -> str:
    entry = view.app.crons.get(overview.definition.name)
    if entry is None or not isinstance(entry.schedule, ExplainedSchedule):
        return ""
    return entry.schedule.in_words()


async def _marks(view: View, keys: Sequence[CronKey]) -> dict[CronKey, list[Mark]]:
    ledger = view.feature(TickLedger)
    if ledger is None:
        return {}
    found: dict[CronKey, list[Mark]] = {}
    for key in keys:
        records = await ledger.tick_history(key, limit=TICKS)
        found[key] = strip(records, [tick_title(view, record) for record in records], places=TICKS)
    return found


def tick_title(view: View, record: TickRecord) -> str:
    """Return what there is to say of a tick."""
    why = reason_text(record)
    late = f", {duration(record.late)} late" if record.fired_at is not None else ""
    return f"{view.moment(record.tick).title}\n{record.status}{late}{f': {why}' if why else ''}"
