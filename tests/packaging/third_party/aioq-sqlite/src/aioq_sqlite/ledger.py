"""Registers the entries of apps, pauses them, and tells their status."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.model.cron import (
    Attendance,
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    Pause,
    Registration,
    TickRecord,
)
from aioq_sqlite.database import Role
from aioq_sqlite.entries import drop_old_entries, entries_of, entry_of, save, status_of
from aioq_sqlite.tick_history import history
from aioq_sqlite.transaction import Transaction

__all__ = ["LedgerRole"]


class LedgerRole(Role):
    """Implements `aioq.protocols.TickLedger` but for the claims of ticks and the status of one entry."""

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Register the entries of an app; see `aioq.protocols.TickLedger.register_crons`."""
        return await self._transact(lambda transaction: _register(transaction, app, version, crons, ttl))

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Keep an app version registered; see `aioq.protocols.TickLedger.renew_registration`."""

        def renew(transaction: Transaction) -> Registration:
            now = transaction.now
            registered = transaction.value("SELECT version FROM app_versions WHERE app = ? AND until > ?", app, now)
            if registered == version:
                transaction.execute("UPDATE app_versions SET until = ? WHERE app = ?", (now + ttl, app))
            paused = [entry.key for entry in entries_of(transaction, app) if entry.pause]
            present = _attend(transaction, app, worker)
            return Registration(version=registered or "", now=now, paused=paused, present=present)

        return await self._transact(renew)

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Pause an entry until it is resumed; see `aioq.protocols.TickLedger.pause_cron`."""

        def pause(transaction: Transaction) -> bool:
            entry = entry_of(transaction, cron)
            is_new = entry.pause is None
            entry.pause = Pause(note=note, by=by, at=transaction.now)
            save(transaction, entry)
            return is_new

        return await self._transact(pause)

    async def resume_cron(self, cron: CronKey) -> bool:
        """Resume a paused entry; see `aioq.protocols.TickLedger.resume_cron`."""

        def resume(transaction: Transaction) -> bool:
            entry = entry_of(transaction, cron)
            if entry.pause is None:
                return False
            entry.pause = None
            entry.arm(transaction.now)  # no tick of the pause is made up for
            save(transaction, entry)
            return True

        return await self._transact(resume)

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return the status of entries; see `aioq.protocols.TickLedger.cron_statuses`."""

        def statuses(transaction: Transaction) -> list[CronStatus]:
            found = (status_of(transaction, entry) for entry in entries_of(transaction, app))
            return [status for status in found if status]

        return await self._transact(statuses)

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry; see `aioq.protocols.TickLedger.tick_history`."""
        return await self._transact(lambda transaction: history(transaction, cron, limit))


def _attend(transaction: Transaction, app: str, worker: Attendance | None) -> dict[str, tuple[str, ...]]:
    """Note the report of a worker, and return what each worker of the app fires that is up."""
    now = transaction.now
    transaction.execute("DELETE FROM attendance WHERE until <= ?", (now,))
    if worker is not None:
        report = (app, worker.worker_id, " ".join(worker.fires), now + worker.seconds)
        transaction.execute("INSERT OR REPLACE INTO attendance VALUES (?, ?, ?, ?)", report)
    up = transaction.execute("SELECT worker_id, fires FROM attendance WHERE app = ?", (app,))
    return {worker_id: tuple(fires.split()) for worker_id, fires in up}


def _register(
    transaction: Transaction, app: str, version: str, crons: Sequence[CronDefinition], ttl: float
) -> CronChanges:
    now = transaction.now
    drop_old_entries(transaction)
    # Compared by fingerprint: a change of a policy alone leaves valid what the ledger has decided.
    before = {
        entry.key: entry.definition.fingerprint
        for entry in entries_of(transaction, app)
        if entry.definition and entry.is_declared
    }
    after = {cron.key: cron for cron in crons}
    for key, cron in after.items():
        entry = entry_of(transaction, key)
        entry.define(cron, app, now)
        save(transaction, entry)
    removed = before.keys() - after.keys()
    for key in removed:
        entry = entry_of(transaction, key)
        entry.retired_at = now
        save(transaction, entry)
    transaction.execute("INSERT OR REPLACE INTO app_versions VALUES (?, ?, ?)", (app, version, now + ttl))
    return CronChanges(
        added=sorted(after.keys() - before.keys()),
        changed=sorted(key for key in after.keys() & before.keys() if before[key] != after[key].fingerprint),
        removed=sorted(removed),
    )
