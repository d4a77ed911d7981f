"""Extends leases, and takes back those that ran out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from aioq.model.job import AttemptOutcome, Lease, Reaped
from aioq.model.outage import SignsOfLife, forgives, note_extended, note_sign, reapable, set_back
from aioq.model.states import JobState, Verb
from aioq.model.suspects import EXCUSE_WINDOW, after_crash
from aioq_sqlite.database import Role
from aioq_sqlite.jobs import DEAD_RETENTION, STARTED, end, history_of, line_up, unsettled, update
from aioq_sqlite.settling import held
from aioq_sqlite.transaction import Transaction

__all__ = ["LeaseRole", "extend", "tidy"]

CRASH_RETENTION = 3600.0
"""Seconds for which the crash of a worker is remembered."""

REPEATED_WITHIN = 600.0
"""Seconds for which claims are remembered that are not the latest of their worker."""

GONE = 86_400.0
"""Seconds after which a worker that claims no more is taken to be gone."""


class LeaseRole(Role):
    """Implements `extend` and `reap` of `aioq.protocols.Broker`."""

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Extend leases, return the lost ones; see `aioq.protocols.Broker.extend`."""
        return await self._transact(lambda transaction: extend(transaction, leases, seconds))

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Take back leases that ran out; see `aioq.protocols.Broker.reap`."""

        def reap(transaction: Transaction) -> list[Reaped]:
            tidy(transaction)
            return [reaped for queue in queues for reaped in _reap_queue(transaction, queue, lease, limit)]

        return await self._transact(reap)


def extend(transaction: Transaction, leases: Sequence[Lease], seconds: float) -> list[Lease]:
    """Extend leases, and return the lost ones."""
    lost: list[Lease] = []
    claimed: dict[str, list[float]] = {lease.queue: [] for lease in leases}
    for lease in leases:
        if row := held(transaction, lease):
            update(transaction, row, deadline=transaction.now + seconds)
            claimed[lease.queue].append(row["started_at"])
        else:
            lost.append(lease)
    for queue, moments in claimed.items():
        _note_sign(transaction, queue, seconds, claimed=moments)
    return lost


def _note_sign(transaction: Transaction, queue: str, lease: float, *, claimed: Iterable[float] = ()) -> SignsOfLife:
    """Note that a worker has reaped, or has extended leases that were claimed at these moments."""
    stored, now = transaction.value("SELECT signs FROM queues WHERE name = ?", queue), transaction.now
    known = msgspec.json.decode(stored, type=SignsOfLife) if stored else None
    if known and (step := set_back(known, now)):
        later = "UPDATE jobs SET deadline = deadline - ? WHERE queue = ? AND state = 'running'"
        transaction.execute(later, (step, queue))
    signs = note_extended(note_sign(known, now, lease=lease), claimed)
    store = "INSERT INTO queues (name, signs) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET signs = excluded.signs"
    transaction.execute(store, (queue, msgspec.json.encode(signs)))
    return signs


def _reap_queue(transaction: Transaction, queue: str, lease: float, limit: int) -> list[Reaped]:
    signs = _note_sign(transaction, queue, lease)
    expired = "SELECT * FROM jobs WHERE queue = ? AND state = 'running' AND deadline <= ? ORDER BY deadline LIMIT ?"
    rows = transaction.execute(expired, (queue, reapable(signs, transaction.now), limit)).fetchall()
    crashed = [row for row in rows if not forgives(signs, row["deadline"])]
    transaction.executemany(
        "INSERT OR IGNORE INTO crashed_workers VALUES (?, ?, ?)",
        {(queue, row["worker_id"], transaction.now) for row in crashed},
    )
    return [_reap(transaction, row, lease, crashed=row in crashed) for row in rows]


def _reap(transaction: Transaction, row: sqlite3.Row, lease: float, *, crashed: bool) -> Reaped:
    crashes = row["crashes"]
    if not crashed:
        told = unsettled(row, AttemptOutcome.LOST, row["deadline"] - lease)
        state = line_up(transaction, row, Verb.REAP, attempt=row["attempt"] - 1, attempts=told, **STARTED)
    else:
        crashes, state = _crash(transaction, row, lease)
    worker_id = row["worker_id"]
    return Reaped(
        job_id=row["id"], queue=row["queue"], task=row["task"], worker_id=worker_id, crashed=crashed, crashes=crashes,
        state=state,
    )  # fmt: skip


def _crash(transaction: Transaction, row: sqlite3.Row, lease: float) -> tuple[int, JobState]:
    """Count the crash of a job; return how many there are, and the state of the job."""
    now = transaction.now
    ran = max(0.0, row["deadline"] - lease - row["started_at"])
    since = (row["crashed_since"] if row["crashes"] else now) - EXCUSE_WINDOW * lease
    lately = "SELECT COUNT(*) FROM crashed_workers WHERE queue = ? AND at >= ?"
    history, is_dead = after_crash(
        history_of(row),
        ran=ran,
        alone=bool(row["alone"]),
        max_crashes=row["max_crashes"],
        crashed_workers=transaction.value(lately, row["queue"], since),
        lease=lease,
        now=now,
    )
    changes: dict[str, Any] = {
        "crashes": history.crashes,
        "probation": history.probation,
        "crashed_since": history.since,
        "attempts": unsettled(row, AttemptOutcome.CRASHED, row["deadline"] - lease),
        **STARTED,
    }
    if is_dead:
        state = end(transaction, row, Verb.MARK_DEAD, DEAD_RETENTION, reason="crashed", **changes)
    else:
        state = line_up(transaction, row, Verb.REAP, ran=ran, **changes)
    return history.crashes, state


def tidy(transaction: Transaction) -> int:
    """Drop what no call asks for any more, and return the number of rows."""
    now = transaction.now
    latest = "SELECT MAX(at) FROM claims AS other WHERE other.worker_id = claims.worker_id"
    old_claims = f"DELETE FROM claims WHERE at <= ? AND (at <= ? OR at < ({latest}))"
    return sum(
        transaction.execute(statement, moments).rowcount
        for statement, moments in (
            ("DELETE FROM crashed_workers WHERE at <= ?", (now - CRASH_RETENTION,)),
            (old_claims, (now - REPEATED_WITHIN, now - GONE)),
            ("DELETE FROM workers WHERE until <= ?", (now,)),
        )
    )
