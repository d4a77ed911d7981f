"""Knows when it is the turn of this worker to claim the ticks of a moment, among those that fire the same entries."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from aioq.clock import Clock
from aioq.cron import CronEntry
from aioq.cron.definition import define, version_of
from aioq.model.claim_order import FOLLOW, claim_delay, favourite_of
from aioq.model.cron import Attendance

__all__ = ["ClaimTurns", "TurnClock"]

PRESENCE = 12.0
"""Seconds after a renewal for which the worker is taken to be up: the next renewal may be lost."""

AHEAD = 0.5
"""Seconds before a moment at which a worker whose turn comes later wakes up, to sleep the rest without polling."""


class ClaimTurns:
    """The order of the workers of a fleet, by the answers to the latest renewals of the registration.

    Workers count together if they fire equal entries of a queue: one of an older version, or without the queue, could
    not claim all that is due.

    Args:
        worker_id: This worker.
        entries: The entries that it fires once for the fleet.
    """

    def __init__(self, worker_id: str, entries: Iterable[CronEntry]) -> None:
        self._worker_id = worker_id
        queues: dict[str, list[CronEntry]] = {}
        for entry in entries:
            queues.setdefault(entry.queue, []).append(entry)
        self._versions = {queue: version_of(map(define, own)) for queue, own in queues.items()}
        fires = tuple(sorted(self._versions.values()))
        self.attendance = Attendance(worker_id=worker_id, fires=fires, seconds=PRESENCE) if fires else None
        """What a renewal reports; None if the worker fires no entry of the fleet."""
        # Two: when a worker joins or leaves, some workers hear of it later than others. Until all have, the favourite
        # of the former order still claims at once.
        self._orders: deque[dict[str, Sequence[str]]] = deque(maxlen=2)

    def heard(self, present: Mapping[str, Sequence[str]]) -> None:
        """Note what each worker fires that is up, by its id."""
        self._orders.append(
            {
                queue: sorted(worker for worker, fires in present.items() if version in fires)
                for queue, version in self._versions.items()
            }
        )

    def wait(self, moment: float, queue: str, now: float) -> float:
        """Return the seconds from now for which this worker waits before it claims the ticks of a moment in a queue."""
        delay = min(claim_delay(moment, order, self._worker_id) for order in self._orders_of(queue) or [()])
        # Of a late tick the whole delay may be over on all workers, and they still must not claim all at once.
        return max(0.0, delay - min(max(0.0, now - moment), FOLLOW))

    def may_be_first(self, moment: float) -> bool:
        """Return whether this worker may have to claim at once what is due at a moment."""
        return any(self._may_be_first(moment, self._orders_of(queue)) for queue in self._versions)

    def _may_be_first(self, moment: float, orders: Sequence[Sequence[str]]) -> bool:
        return not orders or any(favourite_of(moment, order) == self._worker_id for order in orders)

    def _orders_of(self, queue: str) -> Sequence[Sequence[str]]:
        """Return the orders of the workers of a queue. There is none until the ledger has listed this worker."""
        return [order[queue] for order in self._orders if self._worker_id in order[queue]]


class TurnClock:
    """A clock for the loop that fires the entries of the fleet: it wakes the loop only when the turn may have come.

    A sleep ends by polling, to meet its moment. If all workers of a host did that, the favourite would be late because
    the others use the processor.
    """

    def __init__(self, clock: Clock, turns: ClaimTurns) -> None:
        self._clock = clock
        self._turns = turns
        self.time = clock.time
        self.monotonic = clock.monotonic
        self.sleep = clock.sleep

    async def sleep_until(self, moment: float) -> None:
        """Sleep until about `moment`, or `FOLLOW` seconds after it if this worker is not the first to claim."""
        if self._turns.may_be_first(moment):
            await self._clock.sleep_until(moment)
        elif (left := moment - self._clock.time()) > 2 * AHEAD:
            await self._clock.sleep_until(moment - AHEAD)
        else:
            await self._clock.sleep(max(0.0, left + FOLLOW))
