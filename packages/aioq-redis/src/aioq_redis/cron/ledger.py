"""Who fires a tick, which runs go on, and what became of each: decided and kept on the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aioq.model.cron import CronKey, TickClaim, TickOutcome, TickRecord, TickReply, TickRun
from aioq.model.ids import check_name, tick_id
from aioq_redis.client.client import gather_all
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole, gather_by_queue, group_by_queue
from aioq_redis.storage.job_format import check_id, encode_record, plan_of
from aioq_redis.storage.tick_format import body_of, owner_of, read_record, wire, worker_of

__all__ = ["REMEMBERED", "TickLedgerRole"]

ALLOWED_FUTURE: Final = 1.0
"""Seconds by which a tick may be ahead of the server's clock and still be won."""

REMEMBERED: Final = 400 * 86_400.0
"""Seconds for which an entry that fires no more keeps its mark: longer than a yearly one needs."""

_ALLOWED: Final = milliseconds(ALLOWED_FUTURE)
_REMEMBERED: Final = milliseconds(REMEMBERED)
_OUTCOMES: Final = {outcome.value.encode(): outcome for outcome in TickOutcome}


class TickLedgerRole(BrokerRole):
    """Implements the methods of `aioq.protocols.TickLedger` about ticks."""

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide who fires ticks; see `aioq.protocols.TickLedger.claim_tick`."""
        (reply,) = await self._claim(claim.queue, [claim])
        return reply

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims; see `aioq.protocols.TickLedger.claim_ticks`."""
        return await gather_by_queue(claims, self._claim)

    async def _claim(self, queue: str, claims: Sequence[TickClaim]) -> list[TickReply]:
        space = self._layout.queue(queue)
        args: list[object] = [_ALLOWED, _REMEMBERED]
        names = [check_name("name", claim.name) for claim in claims]
        for claim in claims:
            args += _arguments(claim)
        if any(claim.job is not None for claim in claims):
            self._known_queues.add(queue, self._database.session)
        now, *told = await self._database.call("claim_ticks", space, args, each=names)
        return [_reply(claim, int(now) / 1000, *answer) for claim, answer in zip(claims, told, strict=True)]

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Lengthen runs and return the replaced ones; see `aioq.protocols.TickLedger.extend_runs`."""

        async def extend(queue: str, own: list[TickRun]) -> list[bool]:
            args: list[object] = [milliseconds(seconds)]
            for run in own:
                args += (wire(run.tick), run.worker_id)
            names = [check_name("name", run.name) for run in own]
            lost = await self._database.call("extend_runs", self._layout.queue(queue), args, each=names)
            return [n in lost for n in range(len(own))]

        replaced = await gather_by_queue(runs, extend)
        return [run for run, is_replaced in zip(runs, replaced, strict=True) if is_replaced]

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Write down what became of ticks; see `aioq.protocols.TickLedger.record_ticks`."""
        await gather_all(self._record(queue, own) for queue, own in group_by_queue(records).items())

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry; see `aioq.protocols.TickLedger.tick_history`."""
        if limit <= 0:
            return []
        key = self._layout.queue(cron.queue).key(f"ticks:{check_name('name', cron.name)}")
        return [read_record(cron, member) for member in await self._database.command("ZREVRANGE", key, 0, limit - 1)]

    async def _record(self, queue: str, records: list[TickRecord]) -> None:
        places: dict[str, int] = {}
        args: list[object] = [_REMEMBERED]
        for record in records:
            place = places.setdefault(check_name("name", record.name), len(places) + 1)
            result = b"" if record.result is None else b"+" + record.result
            args += (place, wire(record.tick), owner_of(record), worker_of(record), body_of(record), result)
        await self._database.call("record_ticks", self._layout.queue(queue), args, each=list(places))


def _arguments(claim: TickClaim) -> tuple[object, ...]:
    """Return a claim as `lua/cron/claim_ticks.lua` takes it."""
    check_id(tick_id(claim.name, claim.ticks[-1]))
    job = claim.job
    return (
        claim.name,
        claim.fingerprint,
        claim.worker_id,
        claim.request_id,
        claim.overlap,
        milliseconds(claim.run),
        plan_of(job) if job else "",
        encode_record(job) if job else "",
        len(claim.ticks),
        *map(wire, claim.ticks),
    )


def _reply(claim: TickClaim, now: float, outcome: bytes, before: bytes = b"", previous: bytes = b"") -> TickReply:
    """Return an answer of `lua/cron/claim_ticks.lua`."""
    kind = _OUTCOMES[outcome]
    won: tuple[float, ...] = ()
    if kind is TickOutcome.WON:
        won = tuple(tick for tick in claim.ticks if not before or wire(tick) > int(before))
    known = previous and kind is not TickOutcome.QUEUED
    return TickReply(outcome=kind, now=now, won=won, previous=int(previous) / 1000 if known else None)
