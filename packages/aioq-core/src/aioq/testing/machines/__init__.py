"""Compares any broker with a model, by calls that Hypothesis chooses.

It needs Hypothesis: `pip install "aioq-core[testing]"`.
"""

from aioq.testing.machines.broker import BrokerMachine as BrokerMachine
from aioq.testing.machines.ledger import LedgerMachine as LedgerMachine
from aioq.testing.machines.schedules import ScheduleMachine as ScheduleMachine

__all__ = ["BrokerMachine", "LedgerMachine", "ScheduleMachine"]
