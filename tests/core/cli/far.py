"""A broker that commands take for a server: a memory broker in this process, which outlives each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aioq.backends import MemoryBroker
from aioq.conformance import members
from aioq.protocols import (
    Broker,
    ChangeLog,
    Failures,
    JobStore,
    QueueControl,
    Schedules,
    Signals,
    Statistics,
    TickLedger,
    WorkerRegistry,
)
from aioq.testing import VirtualClock

__all__ = ["NOON", "FarBroker"]

NOON = 1_767_614_400.0
"""Monday 2026-01-05 12:00 UTC: what the clock of a far broker shows."""


class FarBroker:
    """Has all that a memory broker has, and is none."""

    protocol_version = MemoryBroker.protocol_version

    def __init__(self, now: float = NOON) -> None:
        self.clock = VirtualClock(now)
        self.near = MemoryBroker(clock=self.clock)

    def __repr__(self) -> str:
        return "FarBroker()"


def _passed_on(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: getattr(self.near, name)(*args, **kwargs)


PASSED_ON = (
    Broker, ChangeLog, JobStore, QueueControl, Failures, Schedules, Signals, Statistics, TickLedger, WorkerRegistry,
)  # fmt: skip
for _protocol in PASSED_ON:
    for _name in members(_protocol):
        if _name != "protocol_version":
            setattr(FarBroker, _name, _passed_on(_name))
