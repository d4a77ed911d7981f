"""The seams of aioq: what a broker, a scheduler, a schedule, a codec and a clock must do.

A third-party package implements one of these, names it in an entry point, and proves it
with the suites of `aioq.testing`. A broker implements `Broker`; what else it can do it
says by having the methods of `JobStore`, `WorkerRegistry`, `Signals`, `ThreadedLeases`,
`TickLedger` or `Diagnosable` too, and whoever needs one asks with `isinstance`.

Durations are seconds. Moments are seconds since 1970-01-01T00:00:00Z on the *broker's*
clock, so that workers whose own clocks disagree still agree on which lease has run out.

Every broker method may raise `BrokerUnavailable` when the store cannot be reached or is
not ready. Its effect is then unknown, and the caller repeats the very same call: enqueue
by job id, claim by request id and settle by epoch are built to be repeated.
"""

from aioq.protocols.broker import Broker as Broker
from aioq.protocols.diagnostics import Diagnosable as Diagnosable
from aioq.protocols.jobs import JobStore as JobStore
from aioq.protocols.jobs import Signals as Signals
from aioq.protocols.ledger import TickLedger as TickLedger
from aioq.protocols.workers import LeaseKeeper as LeaseKeeper
from aioq.protocols.workers import ThreadedLeases as ThreadedLeases
from aioq.protocols.workers import WorkerRegistry as WorkerRegistry

__all__ = [
    "Broker",
    "JobStore",
    "Signals",
    "WorkerRegistry",
    "ThreadedLeases",
    "LeaseKeeper",
    "TickLedger",
    "Diagnosable",
]
