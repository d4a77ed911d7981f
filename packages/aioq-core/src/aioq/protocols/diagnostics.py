"""The optional protocol of a broker that checks its own store."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from aioq.model.health import Finding

__all__ = ["Diagnosable"]


@runtime_checkable
class Diagnosable(Protocol):
    """A broker that can look for what is wrong with its store. `aioq doctor` needs it."""

    async def diagnose(self) -> list[Finding]:
        """Look at the store, its settings and what is in it, and return all that was looked at.

        Changes nothing, may be asked while workers run, and takes a bounded time however much
        is stored. What the user of the store may not look at is a finding too, and no error.
        """
        ...
