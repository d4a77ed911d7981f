"""Defines the protocols of brokers. `Broker` is required; the others are optional.

A third-party package implements them, names its class in an entry point, and tests it with the suites of
`aioq.testing`. A broker implements an optional protocol by having all of its methods, and states the version of the
protocols in `protocol_version`. Callers ask with `aioq.conformance.supports`. docs/writing-a-broker.md is the guide.

Durations are seconds. Moments are seconds since 1970-01-01T00:00:00Z on the *broker's* clock, so that workers
with different clocks agree on which lease has run out.

Every broker method may raise `BrokerUnavailable` if the store cannot be reached or is not ready. Whether the
call had an effect is then unknown, and the caller repeats it with the same arguments. Repeating is safe:
enqueue is idempotent by queue and job id, claim by request id, and settle by epoch.

A broker whose queues are in several stores raises `PartlyUnavailable` if it could reach some of them only. The error
has the answer of the queues that it reached; docs/writing-a-broker.md says in which form.
"""

from aioq.protocols.broker import PROTOCOL_VERSION as PROTOCOL_VERSION
from aioq.protocols.broker import Broker as Broker
from aioq.protocols.control import ChangeLog as ChangeLog
from aioq.protocols.control import QueueControl as QueueControl
from aioq.protocols.diagnostics import Diagnosable as Diagnosable
from aioq.protocols.failures import Failures as Failures
from aioq.protocols.jobs import JobStore as JobStore
from aioq.protocols.jobs import Signals as Signals
from aioq.protocols.ledger import TickLedger as TickLedger
from aioq.protocols.migration import Migratable as Migratable
from aioq.protocols.restricted import Restricted as Restricted
from aioq.protocols.schedules import Schedules as Schedules
from aioq.protocols.statistics import Statistics as Statistics
from aioq.protocols.workers import LeaseKeeper as LeaseKeeper
from aioq.protocols.workers import ThreadedLeases as ThreadedLeases
from aioq.protocols.workers import WorkerRegistry as WorkerRegistry

__all__ = [
    "PROTOCOL_VERSION",
    "Broker",
    "JobStore",
    "Failures",
    "Signals",
    "WorkerRegistry",
    "ThreadedLeases",
    "LeaseKeeper",
    "TickLedger",
    "Schedules",
    "QueueControl",
    "ChangeLog",
    "Statistics",
    "Diagnosable",
    "Migratable",
    "Restricted",
]
