"""Defines the optional protocol of a broker that checks its own store."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from aioq.model.health import Finding

__all__ = ["Diagnosable"]


@runtime_checkable
class Diagnosable(Protocol):
    """A broker that can check its store for faults. `aioq doctor` needs it."""

    async def diagnose(self, *, fix: bool = False) -> list[Finding]:
        """Check the store, its settings and its contents; return one finding for each check.

        May run beside workers, and takes a bounded time for stores of any size. A check that the user of the
        store may not make is a finding, not an error.

        Args:
            fix: First remove stored data that belong to no job and that nothing else would remove, and put damaged
                data right if that loses no job. This may take a time in proportion to the store. Each kind is a
                finding of level OK. Without `fix` nothing is changed.
        """
        ...
