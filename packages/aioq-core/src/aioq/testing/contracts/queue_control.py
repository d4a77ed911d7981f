"""Composes the suite for `aioq.protocols.QueueControl`."""

from __future__ import annotations

from aioq.testing.contracts.queue_pauses import QueuePauseContract

__all__ = ["QueueControlContract"]


class QueueControlContract(QueuePauseContract):
    """The suite for `aioq.protocols.QueueControl`; subclass it beside `BrokerContract`."""
