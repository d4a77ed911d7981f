"""Provides conformance suites for the protocols and a virtual clock, for tests of apps and brokers.

It needs pytest and the plugin of anyio: `pip install "aioq-core[testing]"`. `aioq.testing.machines` also needs
Hypothesis, which is in the same extra.
"""

import pytest

pytest.register_assert_rewrite("aioq.testing.contracts", "aioq.testing.machines")

from aioq.testing.clock import VirtualClock as VirtualClock  # noqa: E402
from aioq.testing.contracts.attempt_history import AttemptHistoryContract as AttemptHistoryContract  # noqa: E402
from aioq.testing.contracts.broker import BrokerContract as BrokerContract  # noqa: E402
from aioq.testing.contracts.change_log import ChangeLogContract as ChangeLogContract  # noqa: E402
from aioq.testing.contracts.diagnosable import DiagnosableContract as DiagnosableContract  # noqa: E402
from aioq.testing.contracts.failures import FailuresContract as FailuresContract  # noqa: E402
from aioq.testing.contracts.faults import FaultContract as FaultContract  # noqa: E402
from aioq.testing.contracts.job_store import JobStoreContract as JobStoreContract  # noqa: E402
from aioq.testing.contracts.migratable import MigratableContract as MigratableContract  # noqa: E402
from aioq.testing.contracts.queue_control import QueueControlContract as QueueControlContract  # noqa: E402
from aioq.testing.contracts.scheduler import SchedulerContract as SchedulerContract  # noqa: E402
from aioq.testing.contracts.schedules import SchedulesContract as SchedulesContract  # noqa: E402
from aioq.testing.contracts.several_stores import SeveralStoresContract as SeveralStoresContract  # noqa: E402
from aioq.testing.contracts.signals import SignalsContract as SignalsContract  # noqa: E402
from aioq.testing.contracts.statistics import StatisticsContract as StatisticsContract  # noqa: E402
from aioq.testing.contracts.suspects import SuspectContract as SuspectContract  # noqa: E402
from aioq.testing.contracts.threaded_leases import ThreadedLeasesContract as ThreadedLeasesContract  # noqa: E402
from aioq.testing.contracts.tick_ledger import TickLedgerContract as TickLedgerContract  # noqa: E402
from aioq.testing.contracts.worker_registry import WorkerRegistryContract as WorkerRegistryContract  # noqa: E402
from aioq.testing.faults import FaultProxy as FaultProxy  # noqa: E402
from aioq.testing.faults import FaultyBroker as FaultyBroker  # noqa: E402

__all__ = [
    "AttemptHistoryContract",
    "BrokerContract",
    "ChangeLogContract",
    "DiagnosableContract",
    "FailuresContract",
    "FaultContract",
    "FaultProxy",
    "FaultyBroker",
    "JobStoreContract",
    "MigratableContract",
    "QueueControlContract",
    "SchedulerContract",
    "SchedulesContract",
    "SeveralStoresContract",
    "SignalsContract",
    "StatisticsContract",
    "SuspectContract",
    "ThreadedLeasesContract",
    "TickLedgerContract",
    "VirtualClock",
    "WorkerRegistryContract",
]
