"""The memory broker as a ledger of ticks: its entries, and the versions of apps that are up."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.backends.memory.ledger_entry import Admit, Entry, Find
from aioq.model.cron import (
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

__all__ = ["MemoryTicks"]

REMEMBERED = 400 * 86_400.0
"""Seconds for which an entry is kept that nobody registers and that fires no more."""


class MemoryTicks:
    """All entries. `find` finds the jobs that their ticks became, `admit` stores one."""

    def __init__(self, find: Find, admit: Admit) -> None:
        self._find, self._admit = find, admit
        self._paused: set[CronKey] = set()
        self._entries: dict[CronKey, Entry] = {}
        self._versions: dict[str, tuple[str, float]] = {}

    def register(self, app: str, version: str, crons: Sequence[CronDefinition], ttl: float, now: float) -> CronChanges:
        """Make `crons` the entries of an app."""
        self._forget(now)
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
            self._entries[key].retired_at = now
        self._versions[app] = (version, now + ttl)
        return CronChanges(
            added=sorted(after.keys() - before.keys()),
            changed=sorted(key for key in after.keys() & before.keys() if before[key] != after[key].fingerprint),
            removed=sorted(removed),
        )

    def renew_registration(self, app: str, version: str, ttl: float, now: float) -> Registration:
        """Say that a worker with `version` of an app is up."""
        registered, until = self._versions.get(app, ("", 0.0))
        if until <= now:
            registered = ""
        elif registered == version:
            self._versions[app] = (version, now + ttl)
        paused = sorted(key for key in self._paused if self._entries[key].app == app)
        return Registration(version=registered, now=now, paused=paused)

    def claim(self, claim: TickClaim, now: float) -> TickReply:
        """Decide who fires ticks."""
        reply, jobs = self._entry(CronKey(claim.queue, claim.name), now).claim(claim, now, self._find)
        for job in jobs:
            if self._find(job.id) is None:
                self._admit(job, now)
        return reply

    def extend(self, runs: Sequence[TickRun], until: float) -> list[TickRun]:
        """Let runs go on until then; return those that another run has replaced."""
        entries = ((run, self._entries.get(CronKey(run.queue, run.name))) for run in runs)
        return [run for run, entry in entries if entry and not entry.extend(run, until)]

    def record(self, records: Sequence[TickRecord], now: float) -> None:
        """Write down what became of ticks."""
        for record in records:
            self._entry(CronKey(record.queue, record.name), now).record(record)

    def pause(self, cron: CronKey, note: str, by: str, now: float) -> bool:
        """Have an entry fire no more; False when it was paused already."""
        entry = self._entry(cron, now)
        fresh = entry.pause is None
        entry.pause = Pause(note=note, by=by, at=now)
        self._paused.add(cron)
        return fresh

    def resume(self, cron: CronKey, now: float) -> bool:
        """Have an entry fire again, as if it had begun now; False when it was not paused."""
        entry = self._entries.get(cron)
        if entry is None or entry.pause is None:
            return False
        entry.pause = None
        self._paused.discard(cron)
        entry.arm(now)
        return True

    def statuses(self, app: str | None, now: float) -> list[CronStatus]:
        """Return what is known of the entries that were registered."""
        known = ((key, entry) for key, entry in sorted(self._entries.items()) if app in (None, entry.app))
        return [entry.status(entry.definition, now, self._find) for _, entry in known if entry.definition]

    def status(self, cron: CronKey, now: float) -> CronStatus | None:
        """Return what is known of an entry that was registered."""
        entry = self._entries.get(cron)
        return entry.status(entry.definition, now, self._find) if entry and entry.definition else None

    def history(self, cron: CronKey, limit: int) -> list[TickRecord]:
        """Return the latest records of an entry, newest tick first."""
        entry = self._entries.get(cron)
        return entry.ring.newest(limit) if entry else []

    def _entry(self, key: CronKey, now: float) -> Entry:
        entry = self._entries.setdefault(key, Entry(key))
        entry.touched_at = now
        return entry

    def _forget(self, now: float) -> None:
        self._entries = {key: entry for key, entry in self._entries.items() if entry.touched_at > now - REMEMBERED}
        self._paused &= self._entries.keys()
        self._versions = {app: (version, until) for app, (version, until) in self._versions.items() if until > now}
