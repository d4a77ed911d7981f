"""Knows which running jobs have crashed before, and which of them their runs have cleared."""

from __future__ import annotations

from collections.abc import Sequence

from aioq.clock import Clock
from aioq.model.job import Lease
from aioq.model.suspects import STEPS
from aioq.protocols import Broker
from aioq.worker.workload import LeaseTable

__all__ = ["Probation"]


class Probation:
    """The leases of jobs that crashed before, until they are dropped from the lease table."""

    def __init__(self, broker: Broker, leases: LeaseTable, clock: Clock, *, lease: float) -> None:
        self._broker = broker
        self._leases = leases
        self._clock = clock
        self._lease = lease
        # With each lease, when its run clears the job.
        self._ends: list[tuple[Lease, float]] = []
        self._cleared: list[Lease] = []
        self._next_part = 0.0

    def __bool__(self) -> bool:
        """Return whether there are such jobs, or were a moment ago."""
        return bool(self._ends or self._cleared)

    def add(self, leases: Sequence[Lease], *, alone: bool) -> None:
        """Note leases that were claimed of jobs that crashed; `alone` says that it is one, of a suspect."""
        now = self._clock.monotonic()
        self._ends += [(lease, now + lease.probation) for lease in leases]
        if not alone:
            self._next_part = now + self._lease / STEPS

    def pause(self) -> float:
        """Return the seconds until the worker may claim further observed jobs; 0 if it may."""
        self._drop_ended()
        return max(0.0, self._next_part - self._clock.monotonic()) if self._ends else 0.0

    async def clear(self) -> int:
        """Tell the broker which jobs have been cleared since the last call; return how many cleared jobs still run."""
        self._drop_ended()
        now = self._clock.monotonic()
        proven = [lease for lease, end in self._ends if end <= now]
        if proven:
            try:
                # Only an extension shows the broker that the jobs have run for so long.
                await self._broker.extend(proven, seconds=self._lease)
            except Exception:  # the jobs stay as they are until the next call, and the claim that follows says why
                proven = []
            else:
                self._ends = [(lease, end) for lease, end in self._ends if end > now]
        self._cleared = [lease for lease in (*self._cleared, *proven) if lease in self._leases]
        return len(self._cleared)

    def _drop_ended(self) -> None:
        self._ends = [(lease, end) for lease, end in self._ends if lease in self._leases]
