"""Computes what the code and the ledger say of each entry, again only when that may have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aioq import Aarq
from aioq.cron import CronEntry
from aioq.cron.overview import EntryOverview, entry_overviews
from aioq.model.cron import CronKey, CronStatus

__all__ = ["Overviews"]

MAX_AGE: Final = 30.0
"""Seconds for which an overview is used if neither the ledger has changed nor a tick has come due."""


@dataclass(frozen=True, slots=True)
class _Known:
    status: CronStatus | None
    until: float
    overview: EntryOverview


class Overviews:
    """Overviews of the entries of an app. There may be a thousand, and few of them change in a second."""

    def __init__(self, app: Aarq) -> None:
        self._app = app
        self._known: dict[CronKey, _Known] = {}

    def of(self, statuses: Sequence[CronStatus], now: float) -> list[EntryOverview]:
        """Return the entries of the code, in their order, and those that are registered only."""
        by_key = {status.definition.key: status for status in statuses}
        found = [self._overview(entry, by_key.pop(entry.key, None), now) for entry in self._app.crons]
        return found + entry_overviews([], list(by_key.values()), datetime.fromtimestamp(now, UTC))

    def _overview(self, entry: CronEntry, status: CronStatus | None, now: float) -> EntryOverview:
        known = self._known.get(entry.key)
        if known is None or now >= known.until or known.status != status:
            (overview,) = entry_overviews([entry], [status] if status else [], datetime.fromtimestamp(now, UTC))
            runs = overview.next.runs
            until = min(now + MAX_AGE, runs[0].timestamp() if runs else now + MAX_AGE)
            known = self._known[entry.key] = _Known(status, until, overview)
        return known.overview
