"""The SQLite broker against the models that aioq ships, on virtual time."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from aioq_sqlite import SqliteBroker
from hypothesis import settings

from aioq.protocols import Broker
from aioq.testing import VirtualClock
from aioq.testing.machines import BrokerMachine, LedgerMachine, ScheduleMachine

EXAMPLES = int(os.environ.get("AIOQ_EXAMPLES", "20"))


class OnFile:
    """A broker on a file of its own, whose time passes when the machine says so."""

    broker: Broker

    async def make_broker(self) -> Broker:
        """Return a connected broker."""
        self.clock = VirtualClock()
        self.folder = TemporaryDirectory()
        broker = SqliteBroker(f"sqlite://{Path(self.folder.name).as_posix()}/jobs.db", clock=self.clock)
        await broker.migrate()
        await broker.connect()
        return broker

    async def clean_up(self) -> None:
        """Close the broker, and remove its file."""
        await self.broker.close()
        self.folder.cleanup()

    async def pass_time(self, seconds: float) -> None:
        """Let both clocks jump: no task sleeps on them."""
        self.clock.suspend(seconds)


class SqliteMachine(OnFile, BrokerMachine):
    """The jobs of the broker."""


class SqliteLedgerMachine(OnFile, LedgerMachine):
    """Its ledger."""


class SqliteScheduleMachine(OnFile, ScheduleMachine):
    """Its schedules."""


TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)

TestSqliteLedgerMachine = SqliteLedgerMachine.TestCase
TestSqliteLedgerMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)

TestSqliteScheduleMachine = SqliteScheduleMachine.TestCase
TestSqliteScheduleMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)
