"""Contains what the machines have in common: a broker, an event loop, and the passing of time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from aioq.protocols import Broker

__all__ = ["Machine"]

T = TypeVar("T")


class Machine(RuleBasedStateMachine):
    """Base of the machines. A subclass of a machine defines `make_broker` and `pass_time`.

    Each example runs on an event loop of its own, and with a new broker.
    """

    broker: Broker

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._ids = count(1)

    async def make_broker(self) -> Broker:
        """Return a connected, empty broker."""
        raise NotImplementedError(f"{type(self).__name__} must define make_broker")

    async def pass_time(self, seconds: float) -> None:
        """Let at least `seconds` pass on the broker's clock."""
        raise NotImplementedError(f"{type(self).__name__} must define pass_time")

    async def clean_up(self) -> None:
        """Close what `make_broker` made. Called after each example."""
        await self.broker.close()

    def teardown(self) -> None:
        """Close the broker and the event loop."""
        if hasattr(self, "broker"):
            self._run(self.clean_up())
        self._runner.close()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.get_loop().run_until_complete(call)
