"""Composes the suite for `aioq.protocols.QueueControl`."""

from __future__ import annotations

from aioq.testing.contracts.queue_pauses import QueuePauseContract
from aioq.testing.contracts.task_stops import TaskStopContract

__all__ = ["QueueControlContract"]


class QueueControlContract(QueuePauseContract, TaskStopContract):
    """The suite for `aioq.protocols.QueueControl`; subclass it beside `BrokerContract`."""
