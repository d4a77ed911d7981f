"""Stores schedules that clients add while workers run, and fires those that are due."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from msgspec.structs import replace

from aioq.model.cron import CronKey, CronStatus, TickOutcome
from aioq.model.firing import ScheduleState, decide_firing, decide_put
from aioq.model.ledger import to_milliseconds
from aioq.model.schedules import DueSchedules, Firing, PutOutcome, ScheduleRecord, StoredSchedule
from aioq_sqlite.database import Role
from aioq_sqlite.entries import entry_of, state_of, status_of
from aioq_sqlite.tick_claims import apply
from aioq_sqlite.transaction import Transaction

__all__ = ["ScheduleRole", "next_look"]

OF_WORKER = (
    "FROM schedules INDEXED BY due_schedules"
    " WHERE queue IN (SELECT value FROM json_each(?)) AND task IN (SELECT value FROM json_each(?))"
)


class ScheduleRole(Role):
    """Implements `aioq.protocols.Schedules` but for the wait, and the status of what may be a schedule or an entry."""

    async def put_schedule(self, schedule: StoredSchedule, *, revision: str, due: float | None) -> PutOutcome:
        """Store a schedule; see `aioq.protocols.Schedules.put_schedule`."""

        def put(transaction: Transaction) -> PutOutcome:
            known, entry = _find(transaction, schedule.key), entry_of(transaction, schedule.key)
            outcome, state = decide_put(
                known, schedule, revision=revision, due=due, declared=entry.is_declared, now=transaction.now
            )
            if state is not None:
                _save(transaction, state)
                transaction.signal("schedule", schedule.key.queue)
            return outcome

        return await self._transact(put)

    async def get_schedule(self, cron: CronKey) -> ScheduleRecord | None:
        """Return a schedule; see `aioq.protocols.Schedules.get_schedule`."""
        state = await self._transact(lambda transaction: _find(transaction, cron))
        return state.record() if state else None

    async def list_schedules(self, app: str, *, after: CronKey | None = None, limit: int = 100) -> list[ScheduleRecord]:
        """Return schedules of an app; see `aioq.protocols.Schedules.list_schedules`."""
        following = "SELECT state FROM schedules WHERE app = ? AND (queue, name) > (?, ?) ORDER BY queue, name LIMIT ?"
        values = (app, after.queue if after else "", after.name if after else "", max(limit, 0))
        rows = await self._transact(lambda transaction: transaction.execute(following, values).fetchall())
        return [_decoded(state).record() for (state,) in rows]

    async def remove_schedule(self, cron: CronKey) -> bool:
        """Remove a schedule; see `aioq.protocols.Schedules.remove_schedule`."""
        remove = "DELETE FROM schedules WHERE queue = ? AND name = ?"
        return await self._transact(
            lambda transaction: transaction.execute(remove, (cron.queue, cron.name)).rowcount > 0
        )

    async def reserve_schedules(
        self, queues: Sequence[str], tasks: Collection[str], *, limit: int, seconds: float
    ) -> DueSchedules:
        """Return due schedules and reserve them; see `aioq.protocols.Schedules.reserve_schedules`."""

        def reserve(transaction: Transaction) -> DueSchedules:
            now = transaction.now
            due = f"SELECT queue, name, state {OF_WORKER} AND look_at <= ? ORDER BY look_at, queue, name LIMIT ?"
            rows = transaction.execute(due, (*_names(queues, tasks), to_milliseconds(now), limit)).fetchall()
            until = to_milliseconds(now + seconds)
            transaction.executemany(
                "UPDATE schedules SET look_at = ? WHERE queue = ? AND name = ?",
                [(until, row["queue"], row["name"]) for row in rows],
            )
            records = [_decoded(row["state"]).record() for row in rows]
            return DueSchedules(now=now, schedules=records, next_due=next_look(transaction, queues, tasks))

        return await self._transact(reserve)

    async def fire_schedules(self, firings: Sequence[Firing]) -> list[TickOutcome]:
        """Decide on firings; see `aioq.protocols.Schedules.fire_schedules`."""
        return await self._transact(lambda transaction: [_fire(transaction, firing) for firing in firings])

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return the status of an entry or a schedule; see `aioq.protocols.Schedules`."""

        def status(transaction: Transaction) -> CronStatus | None:
            entry, stored = entry_of(transaction, cron), _find(transaction, cron)
            if stored is None or entry.is_declared:
                return status_of(transaction, entry)
            about, since = stored.schedule, stored.since / 1000
            shown = replace(entry, definition=about.definition, app=about.app, armed_at=since, retired_at=None)
            return status_of(transaction, shown)

        return await self._transact(status)


def next_look(transaction: Transaction, queues: Sequence[str], tasks: Collection[str]) -> float | None:
    """Return in how many seconds workers have to look at a schedule of these queues and tasks; None without one."""
    moment = transaction.value(f"SELECT MIN(look_at) {OF_WORKER}", *_names(queues, tasks))
    return None if moment is None else moment / 1000 - transaction.now


def _fire(transaction: Transaction, firing: Firing) -> TickOutcome:
    """Load the schedule and its entry, let the pure function decide, and save what it says."""
    key = CronKey(firing.claim.queue, firing.claim.name)
    known, entry = _find(transaction, key), entry_of(transaction, key)
    decision = decide_firing(
        known, state_of(transaction, entry), firing, declared=entry.is_declared, now=transaction.now
    )
    if decision.schedule is not None:
        _save(transaction, decision.schedule)
    apply(transaction, entry, decision)
    return decision.outcome


def _find(transaction: Transaction, key: CronKey) -> ScheduleState | None:
    state = transaction.value("SELECT state FROM schedules WHERE queue = ? AND name = ?", key.queue, key.name)
    return _decoded(state) if state else None


def _save(transaction: Transaction, state: ScheduleState) -> None:
    """Store a schedule. That ends a reservation."""
    key, schedule = state.schedule.key, state.schedule
    row = (key.queue, key.name, schedule.app, schedule.job.task, state.due, msgspec.json.encode(state))
    transaction.execute("INSERT OR REPLACE INTO schedules VALUES (?, ?, ?, ?, ?, ?)", row)


def _decoded(state: bytes) -> ScheduleState:
    return msgspec.json.decode(state, type=ScheduleState)


def _names(*names: Collection[str]) -> list[str]:
    """Return collections of names as arguments of `json_each`."""
    return [msgspec.json.encode([*some]).decode() for some in names]
