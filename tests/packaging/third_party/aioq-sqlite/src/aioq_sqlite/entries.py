"""Loads and saves what the ledger stores of an entry."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from aioq.model.cron import CronCounts, CronDefinition, CronKey, CronStatus, Pause, TickRun
from aioq.model.ids import tick_id
from aioq.model.ledger import EntryState, RunJob
from aioq.model.states import JobState
from aioq_sqlite.jobs import find
from aioq_sqlite.tick_history import Totals, history
from aioq_sqlite.transaction import Transaction

__all__ = ["Entry", "drop_old_entries", "entries_of", "entry_of", "save", "state_of", "status_of"]

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
    state: EntryState = msgspec.field(default_factory=EntryState)
    totals: Totals = msgspec.field(default_factory=Totals)

    @property
    def is_declared(self) -> bool:
        """Whether an app has registered the entry, and has not retired it."""
        return self.definition is not None and self.retired_at is None

    def define(self, definition: CronDefinition, app: str, now: float) -> None:
        """Set the definition, and arm the entry if it is new, enabled again or has another fingerprint."""
        # An entry that returns after it was retired counts as new.
        known = self.definition if self.retired_at is None else None
        enabled_again = known is not None and definition.enabled and not known.enabled
        self.definition = definition
        self.app = app
        self.retired_at = None
        if known is None or enabled_again or known.fingerprint != definition.fingerprint:
            self.arm(now)
            self.state = replace(self.state, last_tick_by=definition.fingerprint)

    def arm(self, now: float) -> None:
        """Move the last tick to now, so that no earlier tick is owed."""
        self.armed_at = now
        self.state = self.state.armed(now)


def entry_of(transaction: Transaction, key: CronKey) -> Entry:
    """Return an entry; a new one if no call has named it."""
    stored = transaction.value("SELECT state FROM entries WHERE queue = ? AND name = ?", key.queue, key.name)
    return msgspec.json.decode(stored, type=Entry) if stored else Entry(key)


def entries_of(transaction: Transaction, app: str | None) -> list[Entry]:
    """Return the entries of an app, or all, by queue and name."""
    rows = transaction.execute("SELECT state FROM entries WHERE app = COALESCE(?, app) ORDER BY queue, name", (app,))
    return [msgspec.json.decode(stored, type=Entry) for (stored,) in rows]


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


def state_of(transaction: Transaction, entry: Entry) -> EntryState:
    """Return what the decision on a claim depends on."""
    definition, run, job = entry.definition, entry.state.run, RunJob.ENDED
    if run and run.has_job:
        job = job_of(transaction, entry, run.tick, held_up=job_of(transaction, entry, run.after) is not RunJob.ENDED)
    return replace(
        entry.state,
        registered=definition and definition.fingerprint,
        active=definition is None or (definition.enabled and entry.retired_at is None),
        paused=entry.pause is not None,
        job=job,
    )


def job_of(transaction: Transaction, entry: Entry, tick: int | None, *, held_up: bool = False) -> RunJob:
    """Return where the job of a tick stands; it has ended without a tick."""
    job = None if tick is None else find(transaction, entry.key.queue, tick_id(entry.key.name, tick / 1000))
    return RunJob.of(JobState(job["state"]), job["attempt"], held_up=held_up) if job else RunJob.ENDED


def status_of(transaction: Transaction, entry: Entry) -> CronStatus | None:
    """Return the public status of an entry; None if no app has registered it."""
    if entry.definition is None:
        return None
    key, totals, last_tick, run = entry.key, entry.totals, entry.state.last_tick, entry.state.run
    running = None
    if run and state_of(transaction, entry).is_running(transaction.now):
        running = TickRun(name=key.name, queue=key.queue, tick=run.tick / 1000, worker_id=run.worker_id)
    return CronStatus(
        definition=entry.definition,
        app=entry.app,
        armed_at=entry.armed_at,
        # An entry that every worker fires by itself has none: no claim decides its ticks.
        last_tick=last_tick / 1000 if entry.definition.unique and last_tick is not None else None,
        pause=entry.pause,
        retired_at=entry.retired_at,
        last=next(iter(history(transaction, key, 1)), None),
        last_success=None if totals.latest_success is None else totals.latest_success / 1000,
        last_result=totals.latest_result,
        running=running,
        counts=CronCounts(**totals.counts),
    )
