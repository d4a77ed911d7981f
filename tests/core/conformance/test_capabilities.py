"""A connected broker may support fewer protocols than it has methods for, and everything asks it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from aioq import Aarq, JobContext, MissingFeature, Worker
from aioq.backends import MemoryBroker
from aioq.conformance import supports
from aioq.protocols import JobStore, Restricted, Signals, TickLedger
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import drain

POOLER = "a connection pool in transaction mode passes no notifications on"


class Pooled(FlakyBroker):
    """Finds out when it connects that it is behind a connection pool."""

    def __init__(self, *protocols: type) -> None:
        super().__init__()
        self.reasons: dict[object, str] = {}
        self._found: dict[object, str] = dict.fromkeys(protocols, POOLER)

    async def connect(self) -> None:
        await super().connect()
        self.reasons.update(self._found)

    def unsupported(self) -> Mapping[object, str]:
        return self.reasons


async def test_supports_asks_the_connected_broker() -> None:
    """Before `connect` the methods count, and after it what the broker says of the store."""
    broker = Pooled(Signals)
    before: object = broker
    assert supports(before, Signals)
    await broker.connect()
    assert not supports(broker, Signals)
    assert supports(broker, JobStore)
    assert supports(broker, Restricted)
    assert not supports(MemoryBroker(), Restricted)


async def test_worker_without_signals_on_this_store_polls_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    """The worker runs its jobs without waiting for a notification, and says why in one line."""
    broker = Pooled(Signals)
    app = Aarq(broker)

    @app.task
    async def work(ctx: JobContext) -> int:
        return 1

    job = await work.enqueue()
    with caplog.at_level(logging.WARNING, "aioq"):
        await drain(app)
    assert await job.result(timeout=5) == 1
    assert broker.calls["wait_and_claim"] == 0
    (line,) = [record for record in caplog.records if getattr(record, "event", "") == "protocol_unsupported"]
    assert line.getMessage() == f"Pooled works without aioq.protocols.Signals: {POOLER}"


async def test_job_without_store_here_names_the_reason() -> None:
    """The error of a client says that the broker has the protocol, and why not on this store."""
    app = Aarq(Pooled(JobStore))

    @app.task
    async def work(ctx: JobContext) -> None: ...

    job = await work.enqueue()
    with pytest.raises(MissingFeature) as caught:
        await job.state()
    assert str(caught.value) == (
        f"Job.state needs a broker that implements aioq.protocols.JobStore, and Pooled cannot here: {POOLER}"
    )


async def test_worker_with_unique_cron_and_no_ledger_here_does_not_start() -> None:
    """A cron that needs the ledger would never fire: the worker says so and ends."""
    app = Aarq(Pooled(TickLedger), scheduler=PlainScheduler())

    @app.cron("every 60", unique=True, name="report")
    async def report(ctx: object) -> None: ...

    with pytest.raises(MissingFeature) as caught:
        await Worker(app, handle_signals=False).run()
    assert str(caught.value) == (
        f"cron entry report needs a broker that implements aioq.protocols.TickLedger, and Pooled cannot here: {POOLER}"
    )
    assert not app.connected


async def test_worker_without_ledger_here_runs_jobs() -> None:
    """Jobs need no ledger, and no part of the worker calls it."""
    broker = Pooled(TickLedger)
    app = Aarq(broker)

    @app.task
    async def work(ctx: JobContext) -> int:
        return 1

    job = await work.enqueue()
    await drain(app)
    assert await job.result(timeout=5) == 1
    assert broker.calls["register_crons"] == 0
