"""Defines the optional protocol of a broker that cannot keep all protocols on every store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

__all__ = ["Restricted"]


@runtime_checkable
class Restricted(Protocol):
    """A broker that has methods of optional protocols which the connected store may not allow.

    For example, a server behind a connection pool may not be able to notify.
    """

    def unsupported(self) -> Mapping[object, str]:
        """Return the optional protocols that cannot be used on the connected store, each with the reason.

        The keys are classes of `aioq.protocols`. Does not wait. Empty before `connect`, and the same from then on until
        `close`: aioq asks after `connect`, and then works as with a broker that does not have these protocols.
        """
        ...
