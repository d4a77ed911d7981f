"""Shows the crons: whether each will fire, did fire, and was on time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aioq.cron.outcomes import reason_text
from aioq.cron.overview import EntryOverview, firing_mode
from aioq.cron.schedule import ExplainedSchedule
from aioq.model.cron import TickRecord
from aioq.protocols import TickLedger
from aioq_web.charts.ticks import strip_paths
from aioq_web.paging import slice_of
from aioq_web.parallel import in_parallel
from aioq_web.text import duration
from aioq_web.view import Page, View

__all__ = ["CronRow", "cron_rows", "crons", "next_tick", "sorted_overviews", "tick_title"]

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
    ticks: Sequence[TickRecord] = ()
    """The latest ticks, newest first."""

    @property
    def paths(self) -> dict[str, str]:
        """The strip of the latest ticks, as a path for each class."""
        return strip_paths(self.ticks, places=TICKS)

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
        return next_tick(self.overview)

    @property
    def overdue(self) -> float | None:
        """The oldest tick that should have a record and has none."""
        return self.overview.overdue.timestamp() if self.overview.overdue else None

    @property
    def state(self) -> tuple[str, str, str]:
        """The class, the icon and the word of the state."""
        return state_of(self.overview)


def state_of(overview: EntryOverview) -> tuple[str, str, str]:
    """Return the class, the icon and the word of the state of an entry."""
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
    return _state_of_tick(overview.status.last if overview.status else None)


def _state_of_tick(last: TickRecord | None) -> tuple[str, str, str]:
    if last is None:
        return "pending", "scheduled", "none yet"
    icon = {"ok": "completed", "fired": "running"}.get(str(last.status), str(last.status))
    return icon, icon, str(last.status)


async def crons(view: View) -> Page:
    """Show the entries of the app, those that need a person first, then by their next tick."""
    text, wanted = view.query.get("q", "").strip(), view.query.get("state", "")
    named = [each for each in sorted_overviews(view) if text.lower() in _searched(each)]
    states = Counter(state_of(each) for each in named)
    shown = slice_of(view, [each for each in named if wanted in ("", state_of(each)[2])], ROWS)
    ticks = await in_parallel(partial(_ticks, view, each) for each in shown.items)
    rows = [
        CronRow(overview=each, words=_words(view, each), ticks=latest)
        for each, latest in zip(shown.items, ticks, strict=True)
    ]
    values = {
        "rows": rows,
        "slice": shown,
        "text": text,
        "state": wanted,
        "states": sorted(states.items(), key=lambda item: item[0][2]),
        "kept": view.snapshot.crons is not None,
    }
    return Page("crons.html", "Crons", values)


def sorted_overviews(view: View) -> list[EntryOverview]:
    """Return all entries: overdue ones first, then by their next tick."""
    found = view.overviews.of(view.snapshot.crons or (), view.now)
    return sorted(found, key=lambda each: (each.overdue is None, next_tick(each) or float("inf"), each.definition.name))


def next_tick(overview: EntryOverview) -> float | None:
    """Return the next tick of an entry that fires, in seconds since 1970."""
    runs = overview.next.runs
    return runs[0].timestamp() if runs and overview.can_fire else None


def cron_rows(view: View, overviews: Iterable[EntryOverview]) -> list[CronRow]:
    """Return a row for each of these entries, without its ticks."""
    return [CronRow(overview=overview, words=_words(view, overview)) for overview in overviews]


def _searched(overview: EntryOverview) -> str:
    return f"{overview.definition.queue} {overview.definition.name}".lower()


def _words(view: View, overview: EntryOverview) -> str:
    entry = view.app.crons.get(overview.definition.name)
    if entry is None or not isinstance(entry.schedule, ExplainedSchedule):
        return ""
    return entry.schedule.in_words()


async def _ticks(view: View, overview: EntryOverview) -> list[TickRecord]:
    ledger, key = view.feature(TickLedger), overview.definition.key
    return await view.read(("ticks", key), partial(ledger.tick_history, key, limit=TICKS)) if ledger else []


def tick_title(view: View, record: TickRecord) -> str:
    """Return what there is to say of a tick."""
    why = reason_text(record)
    late = f", {duration(record.late)} late" if record.fired_at is not None else ""
    return f"{view.moment(record.tick).title}\n{record.status}{late}{f': {why}' if why else ''}"
