"""Decides which worker fires a tick, and records what happened to ticks."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.model.cron import CronKey, TickClaim, TickRecord, TickReply, TickRun
from aioq.model.states import JobState
from aioq_sqlite.database import Role
from aioq_sqlite.decisions import Facts, decide
from aioq_sqlite.enqueueing import insert
from aioq_sqlite.entries import entry_of, save
from aioq_sqlite.jobs import find
from aioq_sqlite.tick_history import put
from aioq_sqlite.transaction import Transaction

__all__ = ["TickRole"]


class TickRole(Role):
    """Implements those methods of `aioq.protocols.TickLedger` that are about ticks."""

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide whether a worker may fire ticks; see `aioq.protocols.TickLedger.claim_tick`."""
        return await self._transact(lambda transaction: _claim(transaction, claim))

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims; see `aioq.protocols.TickLedger.claim_ticks`."""
        return await self._transact(lambda transaction: [_claim(transaction, claim) for claim in claims])

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Extend runs, and return the replaced ones; see `aioq.protocols.TickLedger.extend_runs`."""
        return await self._transact(
            lambda transaction: [run for run in runs if not _extend(transaction, run, transaction.now + seconds)]
        )

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Record the status of ticks; see `aioq.protocols.TickLedger.record_ticks`."""

        def record_all(transaction: Transaction) -> None:
            for record in records:
                _record(transaction, record)

        await self._transact(record_all)


def _claim(transaction: Transaction, claim: TickClaim) -> TickReply:
    """Load the entry, let the pure function decide, and save what it says."""
    entry = entry_of(transaction, CronKey(claim.queue, claim.name))
    run = entry.decided.run
    job = find(transaction, claim.queue, run.job_id) if run and run.job_id else None
    facts = Facts(
        definition=entry.definition,
        retired=entry.retired_at is not None,
        paused=entry.pause is not None,
        job_state=job["state"] if job else None,
        started=job is not None and (job["state"] == JobState.RUNNING or job["attempt"] > 0),
    )
    answer = decide(entry.decided, claim, transaction.now, facts)
    for record in answer.records:
        put(transaction, entry.totals, record)
    for new in answer.jobs:
        # It may exist already, for example from a backfill.
        if not find(transaction, *new.key):
            insert(transaction, new)
    save(transaction, entry)
    return answer.reply


def _extend(transaction: Transaction, run: TickRun, until: float) -> bool:
    """Extend a run; return False if another run has replaced it."""
    entry = entry_of(transaction, CronKey(run.queue, run.name))
    current = entry.decided.run
    if current is None:  # no run is known, so none has replaced this one
        return True
    if (current.tick, current.worker_id) != (round(run.tick * 1000), run.worker_id):
        return False
    current.until = until
    save(transaction, entry)
    return True


def _record(transaction: Transaction, record: TickRecord) -> None:
    """Store a record; if it has `finished_at`, end the run of its tick."""
    entry = entry_of(transaction, CronKey(record.queue, record.name))
    put(transaction, entry.totals, record)
    run = entry.decided.run
    if record.finished_at is not None and run and run.tick == round(record.tick * 1000):
        # The record of another worker, which was replaced, must not end the run that goes on.
        run.ended = run.ended or run.job_id is not None or run.worker_id == record.worker_id
    save(transaction, entry)
