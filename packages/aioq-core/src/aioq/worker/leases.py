"""The leases that this worker holds, from the claim until the outcome is written."""

from __future__ import annotations

from collections.abc import Iterable

from aioq.job import Lease

__all__ = ["LeaseTable"]


class LeaseTable:
    """Leases by job id. What is in here is extended; what is left at the end is released."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}

    def add(self, leases: Iterable[Lease]) -> None:
        """Note leases that were claimed."""
        self._held.update((lease.job_id, lease) for lease in leases)

    def drop(self, lease: Lease) -> None:
        """Forget a lease, unless the job has been claimed anew since."""
        held = self._held.get(lease.job_id)
        if held is not None and held.epoch == lease.epoch:
            del self._held[lease.job_id]

    def holds(self, lease: Lease) -> bool:
        """Whether this very lease is still ours."""
        held = self._held.get(lease.job_id)
        return held is not None and held.epoch == lease.epoch

    def all(self) -> list[Lease]:
        """Return every lease held."""
        return list(self._held.values())

    def __len__(self) -> int:
        return len(self._held)
