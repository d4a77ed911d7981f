"""Takes jobs as slots come free: as many as there is room for, in one request.

A claim that found nothing is followed by one that waits. What a wait that was called off has
claimed is asked for: a request with a limit of 0 tells it, and has it claim nothing later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import anyio.lowlevel
from msgspec import structs

from aioq.clock import Clock
from aioq.model.ids import new_id
from aioq.model.job import Claim, ClaimRequest, Lease
from aioq.protocols import Broker, Signals
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.leases import LeaseTable
from aioq.worker.shutdown import Shutdown, race
from aioq.worker.slots import Slots

__all__ = ["Claimer"]

SHIELD = 5.0
"""Seconds for which a claim under way is protected from cancellation: it may hold leases."""

UNWOKEN = 5.0
"""Seconds after which a worker asks that nobody wakes."""

NOTHING = Claim(leases=[])


class Stopped(Exception):
    """The worker was stopped while a claim was to be repeated."""


class Claimer:
    """Claims until it is told to stop; waits for a wake-up, or for the next job to come due.

    Args:
        poll: Seconds after which an idle worker asks even if nothing woke it; a third of the
            lease when None, or `UNWOKEN` where the broker wakes nobody.
        burst: End as soon as nothing is due and nothing runs.
    """

    def __init__(
        self,
        broker: Broker,
        worker_id: str,
        queues: tuple[str, ...],
        *,
        lease: float,
        poll: float | None,
        burst: bool,
        slots: Slots,
        leases: LeaseTable,
        retry: BrokerRetry,
        shutdown: Shutdown,
        clock: Clock,
    ) -> None:
        self._broker, self._worker_id, self._queues = broker, worker_id, queues
        self._lease, self._burst = lease, burst
        self._slots, self._leases, self._retry, self._shutdown, self._clock = slots, leases, retry, shutdown, clock
        self._half = (slots.total + 1) // 2
        self._signals = broker if isinstance(broker, Signals) else None
        self._longest = _longest_wait(poll, lease) if self._signals else poll or UNWOKEN
        self._waiting: anyio.CancelScope | None = None
        shutdown.add_listener(self._wake)

    async def run(self, start: Callable[[Lease], None], give_back: Callable[[Lease], None]) -> None:
        """Claim jobs and hand each to `start`, until stopped or, in a burst, out of work.

        What a claim brings in after the stop goes to `give_back`.
        """
        patience = 0.0
        while not self._shutdown.requested:
            await self._slots.wait_free(unless=lambda: self._shutdown.requested)
            idle = not self._leases  # asked before the claim: what ends meanwhile may leave work behind
            room = self._slots.free
            claim = await self._claim(patience)
            drained = len(claim.leases) < room
            self._begin(claim.leases[: self._half], start, give_back)
            if drained or len(claim.leases) > self._half:
                # Let what was started begin. When there is no more, it does so before anything else is asked for;
                # else short jobs end here, and their slots are claimed for while the other half runs.
                await anyio.lowlevel.checkpoint()
            self._begin(claim.leases[self._half :], start, give_back)
            if claim.alone:
                await race(self._leases.wait_empty, self._shutdown.draining.wait)
            if claim.alone or (claim.leases and (self._burst or not drained)):
                patience = 0.0
                continue
            if self._burst and idle and claim.next_due != 0:
                return
            patience = self._longest if claim.next_due is None else min(self._longest, claim.next_due)

    def _begin(self, leases: list[Lease], start: Callable[[Lease], None], give_back: Callable[[Lease], None]) -> None:
        for lease in leases:
            (give_back if self._shutdown.requested else start)(lease)

    async def _claim(self, patience: float) -> Claim:
        """Claim, once there is something to claim if `patience` is above 0, or so many seconds have passed."""
        if not (self._burst and patience):
            return await self._insist(patience)
        claim = NOTHING
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._end_wait_when_empty)
            claim = await self._insist(patience)
            tg.cancel_scope.cancel()
        return claim

    async def _insist(self, patience: float) -> Claim:
        if patience and self._signals is None:
            with anyio.CancelScope() as self._waiting:
                await self._clock.sleep(patience)
        if self._shutdown.requested:
            return NOTHING
        request = self._request()
        attempt = self._attempt if self._signals is None or not patience else self._waits(self._signals, patience)
        try:
            return await self._retry.call(lambda: attempt(request), pause=self._pause)
        except Stopped:
            return NOTHING

    async def _pause(self, seconds: float) -> None:
        """Wait between two tries. One that is under way is not interrupted, but brief."""
        await race(partial(self._clock.sleep, seconds), self._shutdown.draining.wait)
        if self._shutdown.requested:
            raise Stopped

    def _waits(self, signals: Signals, seconds: float) -> Callable[[ClaimRequest], Awaitable[Claim]]:
        """Return what waits when it is first called; a wait that failed is asked what it has claimed."""
        left = [signals]

        def attempt(request: ClaimRequest) -> Awaitable[Claim]:
            return self._wait(left.pop(), request, seconds) if left else self._inquire(request)

        return attempt

    async def _wait(self, signals: Signals, request: ClaimRequest, seconds: float) -> Claim:
        asked = self._clock.monotonic()
        with anyio.CancelScope() as scope:
            self._waiting = scope
            try:
                claim = await signals.wait_and_claim(request, timeout=seconds, idle=self._slots.idle())
                return await self._keep(claim, asked)
            except anyio.get_cancelled_exc_class():
                if not scope.cancel_called:
                    with suppress(Exception):
                        await self._inquire(request)
                raise
        return await self._inquire(request)

    async def _inquire(self, request: ClaimRequest) -> Claim:
        """Return what a wait whose answer was not heard has claimed; what else there is, is claimed next."""
        return structs.replace(await self._attempt(structs.replace(request, limit=0)), next_due=0.0)

    async def _attempt(self, request: ClaimRequest) -> Claim:
        asked = self._clock.monotonic()
        with anyio.fail_after(SHIELD, shield=True):
            return await self._keep(await self._broker.claim(request), asked)

    async def _keep(self, claim: Claim, asked: float) -> Claim:
        """Note what was claimed, but for what was lost while the answer lay unread.

        That may be because the event loop was blocked, or the way long.
        """
        if claim.leases and self._clock.monotonic() - asked > self._lease / 3:
            lost = await self._broker.extend(claim.leases, seconds=self._lease)
            held = [lease for lease in claim.leases if lease not in lost]
            claim = structs.replace(claim, leases=held, next_due=0.0 if lost else claim.next_due)
        self._leases.add(claim.leases)
        return claim

    def _request(self) -> ClaimRequest:
        return ClaimRequest(
            worker_id=self._worker_id,
            queues=self._queues,
            limit=self._slots.free,
            lease=self._lease,
            request_id=new_id(),
            running=len(self._leases),
        )

    def _wake(self) -> None:
        """Have a stop noticed: a race with it at every wait would make each job start later."""
        self._slots.wake()
        if self._waiting is not None:
            self._waiting.cancel()

    async def _end_wait_when_empty(self) -> None:
        await self._leases.wait_empty()
        if self._waiting is not None:
            self._waiting.cancel()


def _longest_wait(poll: float | None, lease: float) -> float:
    """Return for how long a claim may wait: an answer that may be older than a third of its lease is not trusted."""
    return lease / 3 if poll is None else min(poll, lease / 3)
