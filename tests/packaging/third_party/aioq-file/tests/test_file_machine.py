"""The file broker against the model of a broker that only counts crashes, on virtual time."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from aioq_file import FileBroker
from hypothesis import settings

from aioq.protocols import Broker
from aioq.testing import VirtualClock
from aioq.testing.machines import BrokerMachine


class FileMachine(BrokerMachine):
    """A broker on a file of its own, whose time passes when the machine says so."""

    in_order = False  # jobs that one call puts back have no order

    async def make_broker(self) -> Broker:
        """Return a connected broker."""
        self.clock = VirtualClock()
        self.folder = TemporaryDirectory()
        broker = FileBroker((Path(self.folder.name) / "jobs.db").as_uri(), clock=self.clock)
        await broker.connect()
        return broker

    async def clean_up(self) -> None:
        """Close the broker, and remove its file."""
        await super().clean_up()
        self.folder.cleanup()

    async def pass_time(self, seconds: float) -> None:
        """Let both clocks jump: no task sleeps on them."""
        self.clock.suspend(seconds)


TestFileMachine = FileMachine.TestCase
TestFileMachine.settings = settings(
    max_examples=int(os.environ.get("AIOQ_EXAMPLES", "10")), stateful_step_count=50, deadline=None
)
