"""Takes jobs as slots come free: as many as there is room for, in one request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import anyio.lowlevel
from msgspec import structs

from aioq.ids import new_id
from aioq.job import Claim, ClaimRequest, Lease
from aioq.protocols import Broker, Clock, Signals
from aioq.worker.leases import LeaseTable
from aioq.worker.link import Link
from aioq.worker.race import first
from aioq.worker.slots import Slots
from aioq.worker.stop import Stop

__all__ = ["Claimer"]

SHIELD = 5.0
"""Seconds for which a claim under way is protected from cancellation: it may hold leases."""


class Stopped(Exception):
    """The worker was stopped while a claim was to be repeated."""


class Claimer:
    """Claims until it is told to stop; waits for a wake-up, or for the next job to come due.

    Args:
        poll: Seconds after which an idle worker asks even if nothing woke it.
        burst: End as soon as nothing is due and nothing runs.
    """

    def __init__(
        self,
        broker: Broker,
        worker_id: str,
        queues: tuple[str, ...],
        *,
        lease: float,
        poll: float,
        burst: bool,
        slots: Slots,
        leases: LeaseTable,
        link: Link,
        stop: Stop,
        clock: Clock,
    ) -> None:
        self._broker, self._worker_id, self._queues = broker, worker_id, queues
        self._lease, self._poll, self._burst = lease, poll, burst
        self._slots, self._leases, self._link, self._stop, self._clock = slots, leases, link, stop, clock
        self._half = (slots.total + 1) // 2
        self._idling: anyio.CancelScope | None = None
        stop.tell(self._wake)

    async def run(self, start: Callable[[Lease], None], give_back: Callable[[Lease], None]) -> None:
        """Claim jobs and hand each to `start`, until stopped or, in a burst, out of work.

        What a claim brings in after the stop goes to `give_back`.
        """
        while not self._stop.requested():
            await self._slots.wait_free(unless=self._stop.requested)
            idle = not self._leases  # asked before the claim: what ends meanwhile may leave work behind
            room = self._slots.free
            claim = await self._claim()
            drained = len(claim.leases) < room
            self._begin(claim.leases[: self._half], start, give_back)
            if drained or len(claim.leases) > self._half:
                # Let what was started begin. When there is no more, it does so before anything else is asked for;
                # else short jobs end here, and their slots are claimed for while the other half runs.
                await anyio.lowlevel.checkpoint()
            self._begin(claim.leases[self._half :], start, give_back)
            if claim.alone:
                await first(self._leases.wait_empty, self._stop.draining.wait)
            if claim.alone or (claim.leases and (self._burst or not drained)):
                continue
            if self._burst and idle and claim.next_due != 0:
                return
            await self._idle(claim.next_due)

    def _begin(self, leases: list[Lease], start: Callable[[Lease], None], give_back: Callable[[Lease], None]) -> None:
        for lease in leases:
            (give_back if self._stop.requested() else start)(lease)

    async def _claim(self) -> Claim:
        if self._stop.requested():
            return Claim(leases=[])
        request = self._request()
        try:
            return await self._link.insist(lambda: self._attempt(request), pause=self._pause)
        except Stopped:
            return Claim(leases=[])

    async def _pause(self, seconds: float) -> None:
        """Wait between two tries. One that is under way is not interrupted, but brief."""
        await first(partial(self._clock.sleep, seconds), self._stop.draining.wait)
        if self._stop.requested():
            raise Stopped

    async def _attempt(self, request: ClaimRequest) -> Claim:
        asked = self._clock.monotonic()
        with anyio.fail_after(SHIELD, shield=True):
            claim = await self._broker.claim(request)
            if claim.leases and self._clock.monotonic() - asked > self._lease / 3:
                claim = await self._still_held(claim)
            self._leases.add(claim.leases)
            return claim

    async def _still_held(self, claim: Claim) -> Claim:
        """Leave out what was lost while the answer lay unread, because the event loop was blocked or the way long."""
        lost = await self._broker.extend(claim.leases, seconds=self._lease)
        held = [lease for lease in claim.leases if lease not in lost]
        return structs.replace(claim, leases=held, next_due=0.0 if lost else claim.next_due)

    def _request(self) -> ClaimRequest:
        return ClaimRequest(
            worker_id=self._worker_id,
            queues=self._queues,
            limit=self._slots.free,
            lease=self._lease,
            request_id=new_id(),
            running=len(self._leases),
        )

    async def _idle(self, next_due: float | None) -> None:
        seconds = self._poll if next_due is None else min(self._poll, next_due)
        wait = partial(self._wait_for_work, seconds)
        with anyio.CancelScope() as self._idling:
            if not self._stop.requested():
                await (first(wait, self._leases.wait_empty) if self._burst else wait())

    def _wake(self) -> None:
        """Have a stop noticed: a race with it at every wait would make each job start later."""
        self._slots.wake()
        if self._idling is not None:
            self._idling.cancel()

    async def _wait_for_work(self, seconds: float) -> None:
        if isinstance(self._broker, Signals):
            signals = self._broker
            await self._link.insist(lambda: signals.wait_for_work(self._queues, timeout=seconds))
        else:
            await self._clock.sleep(seconds)
