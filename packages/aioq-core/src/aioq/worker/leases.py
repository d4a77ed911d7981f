"""The leases that this worker holds, from the claim until the outcome is written."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from aioq.model.job import Lease

__all__ = ["LeaseTable"]


class LeaseTable:
    """Leases by job id. What is in here is extended; what is left at the end is released."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._emptied = anyio.Event()

    def add(self, leases: Iterable[Lease]) -> None:
        """Note leases that were claimed."""
        self._held.update((lease.job_id, lease) for lease in leases)

    def drop(self, lease: Lease) -> None:
        """Forget a lease, unless the job has been claimed anew since."""
        if self.holds(lease):
            del self._held[lease.job_id]
            if not self._held:
                self._emptied.set()
                self._emptied = anyio.Event()

    def holds(self, lease: Lease) -> bool:
        """Whether this very lease is still ours."""
        held = self._held.get(lease.job_id)
        return held is not None and held.epoch == lease.epoch

    def all(self) -> list[Lease]:
        """Return every lease held. A thread may ask, too."""
        while True:
            try:
                return list(self._held.values())
            except RuntimeError:  # the event loop added or dropped one meanwhile
                continue

    async def wait_empty(self) -> None:
        """Wait until no lease is held."""
        while self._held:
            await self._emptied.wait()

    def __len__(self) -> int:
        return len(self._held)
