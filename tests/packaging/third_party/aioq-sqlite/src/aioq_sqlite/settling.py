"""Writes the outcomes of attempts."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, assert_never

from aioq.model.attempts import attempt_of
from aioq.model.job import Completed, Dead, Expired, Failed, HandedBack, Lease, Released, Retried, Settled, Settlement
from aioq.model.states import JobState, Verb
from aioq_sqlite.database import Role
from aioq_sqlite.jobs import DEAD_RETENTION, STARTED, attempts_with, end, failure_text, line_up
from aioq_sqlite.transaction import Transaction

__all__ = ["SettleRole", "held"]


class SettleRole(Role):
    """Implements `aioq.protocols.Broker.settle`."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write outcomes; see `aioq.protocols.Broker.settle`."""
        return await self._transact(
            lambda transaction: [_settle(transaction, settlement) for settlement in settlements]
        )


def held(transaction: Transaction, lease: Lease) -> sqlite3.Row | None:
    """Return the job of a lease if it runs under this lease."""
    row = _known(transaction, lease)
    return row if row and row["state"] == JobState.RUNNING else None


def _known(transaction: Transaction, lease: Lease) -> sqlite3.Row | None:
    """Return the job of a lease unless it was claimed again; a later job with the same id does not count."""
    return transaction.row(
        "SELECT * FROM jobs WHERE queue = ? AND id = ? AND epoch = ? AND enqueued_at = ? AND worker_id = ?",
        lease.queue,
        lease.job_id,
        lease.epoch,
        lease.enqueued_at,
        lease.worker_id,
    )


def _settle(transaction: Transaction, settlement: Settlement) -> Settled:
    lease = settlement.lease
    row = held(transaction, lease)
    if row is None:
        return Settled.ALREADY if _known(transaction, lease) else Settled.STALE
    attempt = attempt_of(settlement, started_at=row["started_at"], now=transaction.now)
    told: dict[str, Any] = {"attempts": attempts_with(row, attempt)}
    match settlement:
        case Completed(result=result, retain_for=seconds):
            end(transaction, row, Verb.COMPLETE, seconds, result=result, **told)
        case Failed(failure=failure, retain_for=seconds):
            end(transaction, row, Verb.FAIL, seconds, failure=failure_text(failure), **told)
        case Dead(reason=reason, failure=failure):
            told |= {"failure": failure_text(failure)}
            end(transaction, row, Verb.MARK_DEAD, DEAD_RETENTION, reason=reason, **told)
        case Expired(failure=failure):
            end(transaction, row, Verb.EXPIRE, DEAD_RETENTION, failure=failure_text(failure), **told)
        case Retried() | Released() | HandedBack():
            _put_back(transaction, row, settlement, told)
        case _:
            assert_never(settlement)
    return Settled.DONE


def _put_back(
    transaction: Transaction, row: sqlite3.Row, settlement: Retried | Released | HandedBack, told: dict[str, Any]
) -> None:
    attempt = row["attempt"] - 1  # what is released or handed back does not count
    match settlement:
        case Retried(delay=delay, failure=failure):
            text = failure_text(failure) or row["failure"]
            line_up(transaction, row, Verb.RETRY, delay=delay, failure=text, **STARTED, **told)
        case Released(delay=delay, started=started):
            verb = Verb.POSTPONE if delay > 0 else Verb.RELEASE
            line_up(transaction, row, verb, delay=delay, attempt=attempt, **(STARTED if started else {}), **told)
        case HandedBack(delay=delay, failure=failure):
            told |= {"failure": failure_text(failure) or row["failure"], "hand_backs": row["hand_backs"] + 1}
            line_up(transaction, row, Verb.POSTPONE, delay=delay, attempt=attempt, **told)
