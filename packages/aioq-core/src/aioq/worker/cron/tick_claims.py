"""Asks the ledger for ticks, as often as it takes to get an answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio
from msgspec.structs import replace

from aioq.clock import BrokerClock, pass_time, wait_until
from aioq.cron import CronEntry
from aioq.model.cron import TickClaim, TickOutcome, TickReply
from aioq.model.ids import new_id
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.runs import LIFE
from aioq.worker.shutdown import Shutdown, race

__all__ = ["TOGETHER", "Bid", "Bidding"]

AT_ONCE = 200
"""Claims under way at the same time: of thousands, the last would run out of time before it was answered."""

TOGETHER = 100
"""Bids in one call."""

CALLS = 2
"""Such calls under way at the same time: the broker is at one while the answers to the other are acted on."""

SHIELD = 5.0
"""Seconds for which a claim under way is protected from cancellation: it may have won."""


@dataclass(slots=True, eq=False)
class Bid:
    """A claim, and the latest answer to it."""

    entry: CronEntry
    claim: TickClaim
    reply: TickReply | None = None

    @property
    def moments(self) -> list[datetime]:
        """The ticks."""
        return [datetime.fromtimestamp(tick, UTC) for tick in self.claim.ticks]

    def outcome(self) -> TickOutcome | None:
        """Return what was decided; None when nobody has answered."""
        return None if self.reply is None else self.reply.outcome

    def to_run(self) -> list[datetime]:
        """Return the ticks that this worker is to run."""
        if self.reply is None or self.reply.outcome is not TickOutcome.WON or self.claim.job is not None:
            return []
        return [datetime.fromtimestamp(tick, UTC) for tick in self.reply.won]


class Bidding:
    """Makes bids, repeats them while the broker is away, and learns its time from every answer."""

    def __init__(
        self, ledger: TickLedger, worker_id: str, retry: BrokerRetry, shutdown: Shutdown, clock: BrokerClock
    ) -> None:
        self._ledger, self._worker_id, self._retry, self._shutdown, self._clock = (
            ledger,
            worker_id,
            retry,
            shutdown,
            clock,
        )
        self._line, self._calls = anyio.Semaphore(AT_ONCE), anyio.Semaphore(CALLS)

    def bid(self, entry: CronEntry, moments: Sequence[datetime]) -> Bid:
        """Return a bid that has not been made yet."""
        claim = TickClaim(
            name=entry.name,
            queue=entry.queue,
            ticks=tuple(moment.timestamp() for moment in moments),
            fingerprint=entry.fingerprint,
            worker_id=self._worker_id,
            request_id=new_id(),
            overlap=entry.options.overlap,
            run=LIFE,
            job=entry.job,
        )
        return Bid(entry, claim)

    async def ask_together(self, bids: Sequence[Bid]) -> None:
        """Get the answers to bids of different entries; none to those that would have to be asked for once more."""
        for at in range(0, len(bids), TOGETHER):
            some = bids[at : at + TOGETHER]
            with suppress(Exception):  # whatever it is, it is met again when one of them is asked for alone
                async with self._calls if len(some) > 1 else self._line:
                    await self._claim(some)

    async def ask(self, bid: Bid) -> None:
        """Get an answer to a bid; none when the broker stays away for the entry's grace, or the worker stops."""
        await self._insist(bid)
        while bid.reply is not None and bid.reply.outcome is TickOutcome.EARLY:
            early = bid.claim.ticks[-1] - bid.reply.now
            bid.reply, bid.claim = None, replace(bid.claim, request_id=new_id())
            if await wait_until(self._shutdown.draining, self._clock, early):
                return
            await self._insist(bid)

    async def _insist(self, bid: Bid) -> None:
        bid.reply = None
        attempt = partial(self._attempt, bid)
        try:
            return await attempt()
        except Exception:  # `BrokerRetry` logs it, whatever it is
            await race(
                lambda: self._retry.call(attempt),
                lambda: pass_time(self._clock, bid.entry.options.grace),
                self._shutdown.draining.wait,
            )

    async def _attempt(self, bid: Bid) -> None:
        async with self._line:
            await self._claim([bid])

    async def _claim(self, bids: Sequence[Bid]) -> None:
        with anyio.fail_after(SHIELD, shield=True):
            asked = self._clock.monotonic()
            if len(bids) == 1:
                replies = [await self._ledger.claim_tick(bids[0].claim)]
            else:
                replies = await self._ledger.claim_ticks([bid.claim for bid in bids])
        for bid, reply in zip(bids, replies, strict=True):
            bid.reply = reply
        self._clock.heard(replies[-1].now, asked)
