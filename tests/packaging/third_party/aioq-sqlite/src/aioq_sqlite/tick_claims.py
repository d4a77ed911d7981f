"""Decides which worker fires a tick, and records what happened to ticks."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from aioq.model.cron import CronKey, TickClaim, TickRecord, TickReply, TickRun
from aioq.model.firing import FiringDecision
from aioq.model.ledger import Decision, decide_claim, to_milliseconds
from aioq_sqlite.database import Role
from aioq_sqlite.enqueueing import insert
from aioq_sqlite.entries import Entry, entry_of, save, state_of
from aioq_sqlite.jobs import find
from aioq_sqlite.tick_history import put
from aioq_sqlite.transaction import Transaction

__all__ = ["TickRole", "apply"]


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
    decision = decide_claim(state_of(transaction, entry), claim, transaction.now)
    apply(transaction, entry, decision)
    return decision.reply


def apply(transaction: Transaction, entry: Entry, decision: Decision | FiringDecision) -> None:
    """Save what was decided on ticks of an entry."""
    if decision.entry is not None:
        entry.state = decision.entry
    for record in decision.records:
        put(transaction, entry.totals, record)
    for job in decision.jobs:
        # It may exist already, for example from a backfill.
        if not find(transaction, *job.key):
            insert(transaction, job)
    save(transaction, entry)


def _extend(transaction: Transaction, run: TickRun, until: float) -> bool:
    """Extend a run; return False if another run has replaced it."""
    entry = entry_of(transaction, CronKey(run.queue, run.name))
    current = entry.state.run
    if current is None:  # no run is known, so none has replaced this one
        return True
    if (current.tick, current.worker_id) != (to_milliseconds(run.tick), run.worker_id):
        return False
    entry.state = replace(entry.state, run=replace(current, until=to_milliseconds(until)))
    save(transaction, entry)
    return True


def _record(transaction: Transaction, record: TickRecord) -> None:
    """Store a record; if it has `finished_at`, end the run of its tick."""
    entry = entry_of(transaction, CronKey(record.queue, record.name))
    put(transaction, entry.totals, record)
    run = entry.state.run
    # The record of another worker, which was replaced, must not end the run that goes on.
    is_of_run = run and run.tick == to_milliseconds(record.tick) and (run.has_job or run.worker_id == record.worker_id)
    if run and record.finished_at is not None and is_of_run:
        entry.state = replace(entry.state, run=replace(run, ended=True))
    save(transaction, entry)
