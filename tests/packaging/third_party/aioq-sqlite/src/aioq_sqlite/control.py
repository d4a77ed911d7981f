"""Stores the orders of persons, and what persons have changed."""

from __future__ import annotations

import msgspec

from aioq.model.changes import MAX_CHANGES, Change, check_change
from aioq.model.stops import MAX_STOPPED, Stop, TooManyStops, check_stop, stop_again
from aioq_sqlite.database import Role
from aioq_sqlite.transaction import Transaction

__all__ = ["ChangeLogRole", "QueueControlRole"]


class QueueControlRole(Role):
    """Implements `aioq.protocols.QueueControl`."""

    async def pause_queue(self, queue: str, *, note: str, by: str) -> bool:
        """Pause a queue; see `aioq.protocols.QueueControl.pause_queue`."""
        return await self._transact(lambda transaction: _order(transaction, queue, None, note, by))

    async def resume_queue(self, queue: str) -> bool:
        """Resume a queue; see `aioq.protocols.QueueControl.resume_queue`."""
        return await self._transact(lambda transaction: _take_back(transaction, queue, ""))

    async def stop_task(self, task: str, *, queue: str, note: str, by: str) -> bool:
        """Stop a task; see `aioq.protocols.QueueControl.stop_task`."""
        return await self._transact(lambda transaction: _order(transaction, queue, task, note, by))

    async def restore_task(self, task: str, *, queue: str) -> bool:
        """Restore a task; see `aioq.protocols.QueueControl.restore_task`."""
        return await self._transact(lambda transaction: _take_back(transaction, queue, task))

    async def list_stops(self) -> list[Stop]:
        """Return the orders that are in force; see `aioq.protocols.QueueControl.list_stops`."""
        query = "SELECT stop FROM stops ORDER BY queue, task"
        return await self._transact(
            lambda transaction: [msgspec.json.decode(blob, type=Stop) for (blob,) in transaction.execute(query)]
        )


def _order(transaction: Transaction, queue: str, task: str | None, note: str, by: str) -> bool:
    """Store an order; return whether it was not in force."""
    stop = Stop(queue=queue, task=task, note=note, by=by, since=transaction.now)
    check_stop(stop)
    known = transaction.value("SELECT stop FROM stops WHERE queue = ? AND task = ?", queue, task or "")
    if task and not known:
        stopped = transaction.value("SELECT COUNT(*) FROM stops WHERE queue = ? AND task <> ''", queue)
        if stopped >= MAX_STOPPED:
            raise TooManyStops(queue)
    stored = stop_again(msgspec.json.decode(known, type=Stop) if known else None, stop)
    transaction.execute("REPLACE INTO stops VALUES (?, ?, ?)", (queue, task or "", msgspec.json.encode(stored)))
    return not known


def _take_back(transaction: Transaction, queue: str, task: str) -> bool:
    """Remove an order, and wake workers; return whether it was in force."""
    transaction.signal("work", queue)
    return transaction.execute("DELETE FROM stops WHERE queue = ? AND task = ?", (queue, task)).rowcount > 0


class ChangeLogRole(Role):
    """Implements `aioq.protocols.ChangeLog`."""

    async def note_change(self, change: Change) -> None:
        """Record a change; see `aioq.protocols.ChangeLog.note_change`."""
        check_change(change)

        def note(transaction: Transaction) -> None:
            row = (change.subject, msgspec.json.encode(change))
            number = transaction.execute("INSERT INTO changes (subject, change) VALUES (?, ?)", row).lastrowid or 0
            transaction.execute("DELETE FROM changes WHERE number <= ?", (number - MAX_CHANGES,))

        await self._transact(note)

    async def list_changes(self, *, limit: int = 100, subject: str | None = None) -> list[Change]:
        """Return the latest changes; see `aioq.protocols.ChangeLog.list_changes`."""
        query = (
            "SELECT change FROM changes WHERE :subject IS NULL OR subject = :subject ORDER BY number DESC LIMIT :limit"
        )
        values = {"subject": subject, "limit": max(limit, 0)}
        return await self._transact(
            lambda transaction: [
                msgspec.json.decode(blob, type=Change) for (blob,) in transaction.execute(query, values)
            ]
        )
