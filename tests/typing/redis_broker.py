# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""The Redis broker under the name that applications import. Never run: mypy and pyright read it."""

from __future__ import annotations

from typing import assert_type

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq.protocols import Broker, JobStore, Signals, TickLedger, WorkerRegistry
from aioq_redis import RedisBroker as FromItsHome

# The lazy name has the real type, not Any: both checkers see through it.
assert_type(RedisBroker(), FromItsHome)
app = Aarq(broker=RedisBroker("redis://localhost:6379/2"))
RedisBroker(prefix=1)  # type: ignore[call-arg]
RedisBroker(6379)  # type: ignore[arg-type]

broker: Broker = RedisBroker()
store: JobStore = RedisBroker()
registry: WorkerRegistry = RedisBroker()
signals: Signals = RedisBroker()
ledger: TickLedger = RedisBroker()
