"""Implements the ledger of ticks: claims of ticks, runs of entries, and the history of ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from aioq.errors import PartlyUnavailable
from aioq.model.cron import CronKey, TickClaim, TickOutcome, TickRecord, TickReply, TickRun
from aioq.model.ids import check_name, tick_id
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import group_by, in_parts, queue_of, ungroup
from aioq_redis.storage.job_format import encode_record, plan_of
from aioq_redis.storage.tick_format import body_of, owner_of, read_record, to_milliseconds, worker_of

__all__ = ["CLOCK_LEAD_MS", "ENTRY_TTL", "ENTRY_TTL_MS", "OUTCOMES", "TickLedgerRole", "arguments_of"]

MAX_CLOCK_LEAD: Final = 1.0
"""Seconds that a tick may be ahead of the server's clock. A worker whose clock leads by more does not win it."""

ENTRY_TTL: Final = 400 * 86_400.0
"""Seconds to keep the last tick of an entry that no longer fires: more than a year, for yearly entries."""

CLOCK_LEAD_MS: Final = milliseconds(MAX_CLOCK_LEAD)
ENTRY_TTL_MS: Final = milliseconds(ENTRY_TTL)
OUTCOMES: Final = {outcome.value.encode(): outcome for outcome in TickOutcome}


class TickLedgerRole(BrokerRole):
    """Implements the methods of `aioq.protocols.TickLedger` about ticks."""

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide which worker fires ticks; see `aioq.protocols.TickLedger.claim_tick`."""
        (reply,) = await self._claim(claim.queue, [claim])
        return reply

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims; see `aioq.protocols.TickLedger.claim_ticks`."""
        groups = group_by(claims, queue_of)
        answers, away = await in_parts({queue: self._claim(queue, own, patient=False) for queue, own in groups.items()})
        given: dict[str, Sequence[TickReply | None]] = {**answers}
        given |= {queue: [None] * len(groups[queue]) for queue in away}
        replies = ungroup(claims, given, queue_of)
        if away:
            raise PartlyUnavailable(away, replies)
        return [reply for reply in replies if reply]

    async def _claim(self, queue: str, claims: Sequence[TickClaim], *, patient: bool = True) -> list[TickReply]:
        space = self._layout.queue(queue)
        args: list[object] = [CLOCK_LEAD_MS, ENTRY_TTL_MS]
        names = [check_name("name", claim.name) for claim in claims]
        for claim in claims:
            args += arguments_of(claim)
        # Only a schedule stores jobs; a cron alone must not make its queue appear in the statistics.
        if any(claim.job is not None for claim in claims):
            self._known_queues.add(queue, self._database.session)
        now, *answers = await self._database.call("claim_ticks", space, args, each=names, patient=patient)
        return [_reply(claim, int(now) / 1_000_000, *answer) for claim, answer in zip(claims, answers, strict=True)]

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Extend runs and return the replaced ones; see `aioq.protocols.TickLedger.extend_runs`."""

        async def extend(queue: str, own: list[TickRun]) -> list[TickRun]:
            args: list[object] = [milliseconds(seconds)]
            for run in own:
                args += (to_milliseconds(run.tick), run.worker_id)
            names = [check_name("name", run.name) for run in own]
            space = self._layout.queue(queue)
            replaced = await self._database.call("extend_runs", space, args, each=names, patient=False)
            return [own[n] for n in replaced]

        groups = group_by(runs, queue_of)
        answers, away = await in_parts({queue: extend(queue, own) for queue, own in groups.items()})
        replaced = [run for own in answers.values() for run in own]
        if away:
            raise PartlyUnavailable(away, replaced)
        return replaced

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Store records of ticks; see `aioq.protocols.TickLedger.record_ticks`."""
        groups = group_by(records, queue_of)
        _, away = await in_parts({queue: self._record(queue, own) for queue, own in groups.items()})
        if away:
            raise PartlyUnavailable(away)

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry; see `aioq.protocols.TickLedger.tick_history`."""
        if limit <= 0:
            return []
        key = self._layout.queue(cron.queue).key(f"ticks:{check_name('name', cron.name)}")
        members = await self._database.command("ZREVRANGE", key, 0, limit - 1)
        return [record for member in members if (record := read_record(cron, member)) is not None]

    async def _record(self, queue: str, records: list[TickRecord]) -> None:
        places: dict[str, int] = {}
        args: list[object] = [ENTRY_TTL_MS]
        for record in records:
            # One key for each entry, although a batch has many records of it: the script gets each key once.
            place = places.setdefault(check_name("name", record.name), len(places) + 1)
            result = b"" if record.result is None else b"+" + record.result
            args += (place, to_milliseconds(record.tick), owner_of(record), worker_of(record), body_of(record), result)
        await self._database.call("record_ticks", self._layout.queue(queue), args, each=list(places), patient=False)


def arguments_of(claim: TickClaim) -> tuple[object, ...]:
    """Return a claim as arguments of `lua/cron/claim_ticks.lua` and `lua/cron/fire_schedules.lua`."""
    # The script makes the id by itself. A name that is too long has to fail here, and not in a worker that claims the
    # job.
    check_name("job_id", tick_id(claim.name, claim.ticks[-1] if claim.ticks else 0.0))
    job, records = claim.job, _records(claim)
    return (
        claim.name,
        claim.fingerprint,
        claim.worker_id,
        claim.request_id,
        claim.overlap,
        milliseconds(claim.run),
        plan_of(job) if job else "",
        len(claim.ticks),
        *map(to_milliseconds, claim.ticks),
        len(records),
        *records,
    )


def _records(claim: TickClaim) -> list[bytes]:
    """Return the record of each tick's job, or one for all of them."""
    if claim.job is None:
        return []
    if not claim.payloads:
        return [encode_record(claim.job)]
    return [encode_record(structs.replace(claim.job, payload=payload)) for payload in claim.payloads]


def _reply(claim: TickClaim, now: float, code: bytes, before: bytes = b"", previous: bytes = b"") -> TickReply:
    """Read an answer of `lua/cron/claim_ticks.lua`.

    Args:
        claim: The claim.
        now: The server's clock, in seconds.
        code: The outcome.
        before: The last tick that was decided before this claim.
        previous: The same, if it was decided under the fingerprint of the claim.
    """
    outcome = OUTCOMES[code]
    won: tuple[float, ...] = ()
    if outcome is TickOutcome.WON:
        won = tuple(tick for tick in claim.ticks if not before or to_milliseconds(tick) > int(before))
    known = previous and outcome is not TickOutcome.QUEUED
    return TickReply(outcome=outcome, now=now, won=won, previous=int(previous) / 1000 if known else None)
