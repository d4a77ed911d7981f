"""Which ticks were won: one mark per entry, set and compared on the server's clock."""

from __future__ import annotations

from typing import Final

from aioq.ticks import TickClaim, TickOutcome, TickReply
from aioq_redis.keeping import milliseconds
from aioq_redis.keys import Layout
from aioq_redis.server import Server

__all__ = ["Ticks"]

ALLOWED_FUTURE: Final = 1.0
"""Seconds by which a tick may be ahead of the server's clock and still be won."""

REMEMBERED: Final = 400 * 86_400.0
"""Seconds for which an entry that fires no more keeps its mark: longer than a yearly one needs."""


class Ticks:
    """What the broker does as a ledger of ticks."""

    def __init__(self, server: Server, layout: Layout) -> None:
        self._server, self._layout = server, layout

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide who fires a tick; see `aioq.protocols.TickLedger.claim_tick`."""
        args = (
            round(claim.tick * 1000),
            claim.fingerprint,
            claim.worker_id,
            milliseconds(ALLOWED_FUTURE),
            milliseconds(REMEMBERED),
        )
        space = self._layout.queue(claim.queue)
        outcome, now, previous = await self._server.call("claim_tick", space, args, own=claim.name)
        return TickReply(
            outcome=TickOutcome(outcome.decode()),
            now=int(now) / 1000,
            previous=int(previous) / 1000 if previous else None,
        )
