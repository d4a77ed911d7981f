"""Loads and saves the ledger's state of an entry."""

from __future__ import annotations

import msgspec

from aioq.model.cron import CronCounts, CronDefinition, CronKey, CronStatus, Pause, TickRun
from aioq_sqlite.decisions import Decided
from aioq_sqlite.jobs import find
from aioq_sqlite.tick_history import Totals, history
from aioq_sqlite.transaction import Transaction

__all__ = ["Entry", "drop_old_entries", "entries_of", "entry_of", "run_of", "save", "status_of"]

RETENTION = 400 * 86_400.0
"""Seconds for which an entry is kept that no call names."""


class Entry(msgspec.Struct):
    """What the ledger stores of one entry, besides its records."""

    key: CronKey
    app: str = ""
    definition: CronDefinition | None = None
    armed_at: float = 0.0
    retired_at: float | None = None
    pause: Pause | None = None
    decided: Decided = msgspec.field(default_factory=Decided)
    totals: Totals = msgspec.field(default_factory=Totals)

    def define(self, definition: CronDefinition, app: str, now: float) -> None:
        """Set the definition, and arm the entry if it is new, enabled again or has another fingerprint."""
        # An entry that returns after it was retired counts as new.
        known = self.definition if self.retired_at is None else None
        self.definition, self.app, self.retired_at = definition, app, None
        enabled_again = known is not None and definition.enabled and not known.enabled
        if known is None or enabled_again or known.fingerprint != definition.fingerprint:
            self.arm(now)
            self.decided.fingerprint = definition.fingerprint

    def arm(self, now: float) -> None:
        """Move the last tick to now, so that no earlier tick is owed."""
        self.armed_at = now
        # Never back: the ledger may have decided a tick that is a little ahead of its clock.
        self.decided.last_tick = max(self.decided.last_tick or 0, round(now * 1000))


def entry_of(transaction: Transaction, key: CronKey) -> Entry:
    """Return an entry; a new one if no call has named it."""
    state = transaction.value("SELECT state FROM entries WHERE queue = ? AND name = ?", key.queue, key.name)
    return msgspec.json.decode(state, type=Entry) if state else Entry(key)


def entries_of(transaction: Transaction, app: str | None) -> list[Entry]:
    """Return the entries of an app, or all, by queue and name."""
    rows = transaction.execute("SELECT state FROM entries WHERE app = COALESCE(?, app) ORDER BY queue, name", (app,))
    return [msgspec.json.decode(state, type=Entry) for (state,) in rows]


def save(transaction: Transaction, entry: Entry) -> None:
    """Store an entry."""
    row = (entry.key.queue, entry.key.name, entry.app, transaction.now, msgspec.json.encode(entry))
    transaction.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", row)


def drop_old_entries(transaction: Transaction) -> None:
    """Forget entries that no call has named for long."""
    old = "SELECT queue, name FROM entries WHERE touched_at <= ?"
    for queue, name in transaction.execute(old, (transaction.now - RETENTION,)).fetchall():
        for table in ("entries", "ticks"):
            transaction.execute(f"DELETE FROM {table} WHERE queue = ? AND name = ?", (queue, name))


def run_of(transaction: Transaction, entry: Entry) -> TickRun | None:
    """Return the run of the latest tick that was won, if it goes on."""
    run = entry.decided.run
    if run is None:
        return None
    job = find(transaction, entry.key.queue, run.job_id) if run.job_id else None
    if not run.is_going_on(transaction.now, job["state"] if job else None):
        return None
    return TickRun(name=entry.key.name, queue=entry.key.queue, tick=run.tick / 1000, worker_id=run.worker_id)


def status_of(transaction: Transaction, entry: Entry) -> CronStatus | None:
    """Return the public status of an entry; None if no app has registered it."""
    if entry.definition is None:
        return None
    totals, last_tick = entry.totals, entry.decided.last_tick
    return CronStatus(
        definition=entry.definition,
        app=entry.app,
        armed_at=entry.armed_at,
        # An entry that every worker fires by itself has none: no claim decides its ticks.
        last_tick=last_tick / 1000 if entry.definition.unique and last_tick is not None else None,
        pause=entry.pause,
        retired_at=entry.retired_at,
        last=next(iter(history(transaction, entry.key, 1)), None),
        last_success=None if totals.latest_success is None else totals.latest_success / 1000,
        last_result=totals.latest_result,
        running=run_of(transaction, entry),
        counts=CronCounts(**totals.counts),
    )
