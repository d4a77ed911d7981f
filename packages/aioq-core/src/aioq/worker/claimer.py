"""Takes jobs as slots come free: as many as there is room for, in one request."""

from __future__ import annotations

from collections.abc import Callable

import anyio

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

    async def run(self, start: Callable[[Lease], None], give_back: Callable[[Lease], None]) -> None:
        """Claim jobs and hand each to `start`, until stopped or, in a burst, out of work.

        What a claim brings in after the stop goes to `give_back`.
        """
        while not self._stop.requested():
            if not self._slots.free:
                await first(self._slots.wait_free, self._stop.draining.wait)
            idle = not self._leases  # asked before the claim: what ends meanwhile may leave work behind
            claim = await self._claim()
            for lease in claim.leases:
                (give_back if self._stop.requested() else start)(lease)
            if claim.alone:
                await first(self._leases.wait_empty, self._stop.draining.wait)
            if claim.leases or claim.alone:
                continue
            if self._burst and idle:
                return
            await self._idle(claim.next_due)

    async def _claim(self) -> Claim:
        claim = Claim(leases=[])

        async def insist() -> None:
            nonlocal claim
            request = self._request()
            claim = await self._link.insist(lambda: self._attempt(request))

        if not self._stop.requested():
            await first(insist, self._stop.draining.wait)
        return claim

    async def _attempt(self, request: ClaimRequest) -> Claim:
        with anyio.fail_after(SHIELD, shield=True):
            claim = await self._broker.claim(request)
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

    async def _idle(self, next_due: float | None) -> None:
        seconds = self._poll if next_due is None else min(self._poll, next_due)
        waits = [lambda: self._wait_for_work(seconds), self._stop.draining.wait]
        if self._burst:
            waits.append(self._leases.wait_empty)
        await first(*waits)

    async def _wait_for_work(self, seconds: float) -> None:
        if isinstance(self._broker, Signals):
            signals = self._broker
            await self._link.insist(lambda: signals.wait_for_work(self._queues, timeout=seconds))
        else:
            await self._clock.sleep(seconds)
