"""The memory broker's schedules against the model, on virtual time."""

from __future__ import annotations

from hypothesis import settings

from aioq.backends import MemoryBroker
from aioq.protocols import Broker
from aioq.testing import VirtualClock
from aioq.testing.machines import ScheduleMachine
from tests.contract.examples import STEPS, examples


class MemoryScheduleMachine(ScheduleMachine):
    """A broker whose time passes when the machine says so."""

    async def make_broker(self) -> Broker:
        """Return a broker on a clock of its own."""
        self.clock = VirtualClock()
        return MemoryBroker(clock=self.clock)

    async def pass_time(self, seconds: float) -> None:
        """Let both clocks jump: no task sleeps on them."""
        self.clock.suspend(seconds)


TestMemoryScheduleMachine = MemoryScheduleMachine.TestCase
TestMemoryScheduleMachine.settings = settings(max_examples=examples(50), stateful_step_count=STEPS, deadline=None)
