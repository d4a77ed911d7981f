"""Implements the tick ledger of the memory broker: cron entries, and the versions of apps that are up."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.backends.memory.jobs import JobTable, MemoryRole
from aioq.backends.memory.ledger_entry import LedgerEntry
from aioq.model.cron import (
    Attendance,
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    Pause,
    Registration,
    TickClaim,
    TickRecord,
    TickReply,
    TickRun,
)

__all__ = ["TickLedgerRole"]

ENTRY_TTL = 400 * 86_400.0
"""Seconds that an entry is kept which no app registers and which does not fire."""


class TickLedgerRole(MemoryRole):
    """Implements `aioq.protocols.TickLedger`."""

    def __init__(self, table: JobTable) -> None:
        super().__init__(table)
        self._entries: dict[CronKey, LedgerEntry] = {}
        self._paused: set[CronKey] = set()
        self._versions: dict[str, tuple[str, float]] = {}
        self._present: dict[str, dict[str, tuple[tuple[str, ...], float]]] = {}
        """By app and worker id: what the worker fires, and until when it is taken to be up."""

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Register the entries of an app; see `aioq.protocols.TickLedger.register_crons`."""
        now = self._table.now()
        self._forget(now)
        # Compared by fingerprint: a change of a policy alone leaves what the ledger has decided valid.
        before = {
            key: entry.definition.fingerprint
            for key, entry in self._entries.items()
            if entry.definition and entry.app == app and entry.retired_at is None
        }
        after = {cron.key: cron for cron in crons}
        for key, cron in after.items():
            self._entry(key, now).define(cron, app, now)
        removed = before.keys() - after.keys()
        for key in removed:
            self._entries[key].retire(now)
        self._versions[app] = (version, now + ttl)
        return CronChanges(
            added=sorted(after.keys() - before.keys()),
            changed=sorted(key for key in after.keys() & before.keys() if before[key] != after[key].fingerprint),
            removed=sorted(removed),
        )

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Keep an app version registered; see `aioq.protocols.TickLedger.renew_registration`."""
        now = self._table.now()
        registered, until = self._versions.get(app, ("", 0.0))
        if until <= now:
            registered = ""
        elif registered == version:
            self._versions[app] = (version, now + ttl)
        paused = sorted(key for key in self._paused if self._entries[key].app == app)
        return Registration(version=registered, now=now, paused=paused, present=self._present_of(app, worker, now))

    def _present_of(self, app: str, worker: Attendance | None, now: float) -> dict[str, tuple[str, ...]]:
        """Note the report of a worker, and return what each worker of the app fires that is up."""
        known = {name: report for name, report in self._present.get(app, {}).items() if report[1] > now}
        if worker is not None:
            known[worker.worker_id] = (worker.fires, now + worker.seconds)
        self._present[app] = known
        return {name: fires for name, (fires, _) in known.items()}

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide whether a worker may fire ticks; see `aioq.protocols.TickLedger.claim_tick`."""
        now = self._table.now()
        jobs = self._table.jobs
        reply, new_jobs = self._entry(CronKey(claim.queue, claim.name), now).claim(claim, now, jobs.get)
        for job in new_jobs:
            # The job of a tick may exist already, for example from a backfill.
            if job.key not in jobs:
                self._table.add(job, now)
        return reply

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims; see `aioq.protocols.TickLedger.claim_ticks`."""
        return [await self.claim_tick(claim) for claim in claims]

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Extend runs and return the replaced ones; see `aioq.protocols.TickLedger.extend_runs`."""
        until = self._table.now() + seconds
        entries = ((run, self._entries.get(CronKey(run.queue, run.name))) for run in runs)
        return [run for run, entry in entries if entry and not entry.extend(run, until)]

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Record the status of ticks; see `aioq.protocols.TickLedger.record_ticks`."""
        now = self._table.now()
        for record in records:
            self._entry(CronKey(record.queue, record.name), now).record(record)

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Pause an entry; see `aioq.protocols.TickLedger.pause_cron`."""
        now = self._table.now()
        entry = self._entry(cron, now)
        is_new = entry.pause is None
        entry.set_pause(Pause(note=note, by=by, at=now))
        self._paused.add(cron)
        return is_new

    async def resume_cron(self, cron: CronKey) -> bool:
        """Resume a paused entry; see `aioq.protocols.TickLedger.resume_cron`."""
        now = self._table.now()
        entry = self._entries.get(cron)
        if entry is None or entry.pause is None:
            return False
        entry.resume(now)
        self._paused.discard(cron)
        return True

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return the status of entries; see `aioq.protocols.TickLedger.cron_statuses`."""
        now = self._table.now()
        entries = [entry for _, entry in sorted(self._entries.items()) if app in (None, entry.app)]
        return [status for entry in entries if (status := entry.status(now, self._table.jobs.get))]

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return the status of one entry; see `aioq.protocols.TickLedger.cron_status`."""
        now = self._table.now()
        entry = self._entries.get(cron)
        return entry.status(now, self._table.jobs.get) if entry else None

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry; see `aioq.protocols.TickLedger.tick_history`."""
        entry = self._entries.get(cron)
        return entry.history.newest(limit) if entry else []

    def _entry(self, key: CronKey, now: float) -> LedgerEntry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = LedgerEntry(key)
        entry.touched_at = now
        return entry

    def _forget(self, now: float) -> None:
        """Drop entries and versions that have expired."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.touched_at > now - ENTRY_TTL}
        self._paused &= self._entries.keys()
        self._versions = {app: (version, until) for app, (version, until) in self._versions.items() if until > now}
