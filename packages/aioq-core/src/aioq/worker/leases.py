"""The leases that this worker holds, from the claim until the outcome is written."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from aioq.model.job import Lease

__all__ = ["LeaseTable"]


class LeaseTable:
    """Leases by job id. The heartbeat extends those that are in it; the worker releases the rest when it stops."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._emptied = anyio.Event()

    def add(self, leases: Iterable[Lease]) -> None:
        """Add leases that were claimed."""
        self._held.update((lease.job_id, lease) for lease in leases)

    def drop(self, lease: Lease) -> None:
        """Remove a lease, unless the job has been claimed again since."""
        held = self._held.get(lease.job_id)
        if held is None or held.epoch != lease.epoch:
            return
        del self._held[lease.job_id]
        if not self._held:
            self._emptied.set()
            self._emptied = anyio.Event()

    def all(self) -> list[Lease]:
        """Return every lease held. Other threads may call this."""
        while True:
            try:
                return list(self._held.values())
            except RuntimeError:  # the event loop added or removed one meanwhile
                continue

    async def wait_empty(self) -> None:
        """Wait until no lease is held."""
        while self._held:
            await self._emptied.wait()

    def __len__(self) -> int:
        return len(self._held)
