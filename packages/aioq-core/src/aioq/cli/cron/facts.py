"""What is known of entries: by the code, by the ledger, and by both together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aioq.cli.cron.entries import Upcoming, next_of
from aioq.cron import CronEntry
from aioq.cron.definition import define
from aioq.cron.silence import overdue
from aioq.ticks import CronDefinition, CronStatus

__all__ = ["Facts", "gather", "owed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known of one entry at a moment."""

    definition: CronDefinition
    """As in the code; as registered for an entry that the code does not have."""
    in_code: bool = True
    next: Upcoming = field(default_factory=Upcoming)
    status: CronStatus | None = None
    """None when nobody has registered it, or the ledger was not asked."""
    overdue: datetime | None = None
    """The oldest tick of which something should be recorded, and nothing is."""


def gather(entries: Iterable[CronEntry], statuses: Sequence[CronStatus], now: datetime) -> list[Facts]:
    """Return what is known of the entries of the code, in their order, and then of all others."""
    by_key = {status.definition.key: status for status in statuses}
    mine = [_of(entry, by_key.pop(entry.key, None), now) for entry in entries]
    others = [Facts(definition=status.definition, status=status, in_code=False) for status in by_key.values()]
    return mine + others


def _of(entry: CronEntry, status: CronStatus | None, now: datetime) -> Facts:
    return Facts(
        definition=define(entry),
        next=next_of(entry, now),
        status=status,
        overdue=owed(entry, status, now) if status else None,
    )


def owed(entry: CronEntry, status: CronStatus, now: datetime) -> datetime | None:
    """Return the oldest tick that an entry owes; a schedule that fails has no ticks."""
    try:
        return overdue(entry, status, now)
    except Exception:  # anybody may write a schedule
        return None
