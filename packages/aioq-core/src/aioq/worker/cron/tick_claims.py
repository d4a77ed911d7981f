"""Claims ticks from the ledger: several entries in one call, or one entry again and again until there is an answer."""

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
from aioq.errors import BrokerFull, PartlyUnavailable
from aioq.model.cron import TickClaim, TickOutcome, TickReply
from aioq.model.ids import new_id, tick_id
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.due_ticks import DueTicks
from aioq.worker.cron.runs import RUN_TTL
from aioq.worker.shutdown import Shutdown, race

__all__ = ["BATCH_SIZE", "MAX_SINGLE_CLAIMS", "PendingClaim", "TickClaims"]

MAX_SINGLE_CLAIMS = 200
"""Calls for one entry that are under way at the same time. Of thousands, the last would time out."""

BATCH_SIZE = 100
"""Claims in one call: as many as `TickLedger.claim_ticks` takes."""

MAX_BATCHES = 2
"""Calls for several entries that are under way: the broker decides one while the worker acts on the other."""

CLAIM_TIMEOUT = 5.0
"""Seconds for which a call is protected from cancellation: it may have won ticks."""


@dataclass(slots=True, eq=False)
class PendingClaim:
    """A claim of some or all of the ticks that came due together, and the latest answer to it."""

    entry: CronEntry
    due: DueTicks
    request: TickClaim
    reply: TickReply | None = None
    """None until the ledger answers; None again while the claim is repeated."""
    found_full: bool = False
    """Whether the broker was full when the claim was sent last."""

    @property
    def ticks(self) -> list[datetime]:
        """The claimed ticks, oldest first."""
        return [datetime.fromtimestamp(tick, UTC) for tick in self.request.ticks]

    def is_queued(self) -> bool:
        """Return whether the ledger lets the claim wait for an earlier run."""
        return self.reply is not None and self.reply.outcome is TickOutcome.QUEUED


class TickClaims:
    """Sends claims to the ledger, and sets the broker's clock by every answer."""

    def __init__(
        self, ledger: TickLedger, worker_id: str, retry: BrokerRetry, shutdown: Shutdown, clock: BrokerClock
    ) -> None:
        self._ledger = ledger
        self._worker_id = worker_id
        self._retry = retry
        self._shutdown = shutdown
        self._clock = clock
        self._templates: dict[str, TickClaim] = {}
        """What all claims of an entry have in common, by name."""
        # A prefix and a count: thousands of claims may be made at one moment, and a random id for each would take time.
        self._prefix = new_id()
        self._sent = 0
        self._single = anyio.Semaphore(MAX_SINGLE_CLAIMS, fast_acquire=True)
        self._batches = anyio.Semaphore(MAX_BATCHES, fast_acquire=True)

    def new(self, due: DueTicks, ticks: Sequence[datetime]) -> PendingClaim:
        """Return a claim of ticks that has not been sent yet."""
        entry = due.tick.entry
        template = self._templates.get(entry.name)
        if template is None:
            template = self._templates[entry.name] = self._template(entry)
        seconds = tuple(tick.timestamp() for tick in ticks)
        claim = replace(template, ticks=seconds, request_id=self._request_id())
        if entry.job is not None and entry.sign is not None:
            # The signature covers the tick, so each job has its own; the broker has no secret to sign with.
            jobs = [replace(entry.job, id=tick_id(entry.name, tick)) for tick in seconds]
            claim = replace(claim, payloads=tuple(entry.sign(job).payload for job in jobs))
        return PendingClaim(entry, due, claim)

    def _template(self, entry: CronEntry) -> TickClaim:
        return TickClaim(
            name=entry.name,
            queue=entry.queue,
            ticks=(),
            fingerprint=entry.fingerprint,
            worker_id=self._worker_id,
            request_id="",
            overlap=entry.options.overlap,
            run=RUN_TTL,
            job=entry.job,
        )

    def _request_id(self) -> str:
        """Return an id that no other claim of any worker has."""
        self._sent += 1
        return f"{self._prefix}-{self._sent}"

    async def send_together(self, claims: Sequence[PendingClaim]) -> None:
        """Send claims of different entries, `BATCH_SIZE` in a call. A claim whose call fails has no reply after."""
        for start in range(0, len(claims), BATCH_SIZE):
            batch = claims[start : start + BATCH_SIZE]
            with suppress(Exception):  # the caller sends each of them alone, and `BrokerRetry` logs what fails then
                # A batch of one counts as a single claim, and waits for no large batch.
                async with self._batches if len(batch) > 1 else self._single:
                    await self._send(batch)

    async def send(self, claim: PendingClaim) -> None:
        """Send a claim until the ledger decides.

        Without an answer within the entry's `grace`, or when the worker stops, it has no reply.
        """
        await self._send_until_answered(claim)
        while claim.reply is not None and claim.reply.outcome is TickOutcome.EARLY:
            # The broker's clock is behind. An early answer decided nothing: ask anew, under another id.
            early = claim.request.ticks[-1] - claim.reply.now
            claim.reply = None
            claim.request = replace(claim.request, request_id=self._request_id())
            if await wait_until(self._shutdown.draining, self._clock, early):
                return
            await self._send_until_answered(claim)

    async def _send_until_answered(self, claim: PendingClaim) -> None:
        claim.reply = None
        send = partial(self._send_alone, claim)
        try:
            return await send()
        except Exception:  # `BrokerRetry` logs it when it fails again
            await race(
                lambda: self._retry.call(send),
                lambda: pass_time(self._clock, claim.entry.options.grace),
                self._shutdown.draining.wait,
            )

    async def _send_alone(self, claim: PendingClaim) -> None:
        async with self._single:
            try:
                await self._send([claim])
            except Exception as error:
                claim.found_full = isinstance(error, BrokerFull)
                raise

    async def _send(self, claims: Sequence[PendingClaim]) -> None:
        # Cancelled in the middle, the worker would not learn which ticks it has won, and no worker would run them.
        with anyio.fail_after(CLAIM_TIMEOUT, shield=True):
            asked = self._clock.monotonic()
            replies = await self._ask(claims)
        for claim, reply in zip(claims, replies, strict=True):
            claim.reply = reply
        # Each answer corrects the clock: the host's may drift, or be set, between two of them.
        self._clock.heard(next(reply.now for reply in reversed(replies) if reply), asked)

    async def _ask(self, claims: Sequence[PendingClaim]) -> Sequence[TickReply | None]:
        """Return the ledger's answers; None to the claims of queues that cannot be reached while others can."""
        if len(claims) == 1:
            return [await self._ledger.claim_tick(claims[0].request)]
        try:
            return await self._ledger.claim_ticks([claim.request for claim in claims])
        except PartlyUnavailable as error:
            replies: list[TickReply | None] = error.answer
            return replies
