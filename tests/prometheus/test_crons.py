"""Counters and histograms of ticks, and what the ledger says of entries."""

from __future__ import annotations

import pytest

from aioq import Aarq, CronContext, JobContext
from aioq.model.cron import CronKey
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import working
from tests.prometheus.conftest import scrape


async def test_ticks_are_counted_and_measured(app: Aarq, clock: VirtualClock) -> None:
    """Ticks are counted by entry and by what happened to them; their lateness and the calls are measured."""

    @app.cron("every 5", name="sweep", overlap="skip")
    async def sweep(_: CronContext) -> None:
        await clock.sleep(7)

    @app.cron("every 10", name="broken", queue="reports")
    async def broken(_: CronContext) -> None:
        raise ValueError

    async with working(app, clock=clock):
        await clock.advance(13)
    found = await scrape(app)
    assert found["aioq_cron_ticks_total"] == {
        ("sweep", "fired", "default"): 1,
        ("sweep", "skipped", "default"): 1,
        ("sweep", "completed", "default"): 1,
        ("broken", "fired", "reports"): 1,
        ("broken", "failed", "reports"): 1,
    }
    entries = {("sweep", "default"): 1, ("broken", "reports"): 1}
    assert found["aioq_cron_lateness_seconds_count"] == entries
    assert found["aioq_cron_duration_seconds_count"] == entries
    assert found["aioq_cron_duration_seconds_sum"]["sweep", "default"] == pytest.approx(7, abs=0.1)


async def test_late_and_missed_ticks_are_seen(app: Aarq, clock: VirtualClock) -> None:
    """A tick that fires after the loop was blocked adds its lateness; those before it are missed by count."""

    @app.task(name="report")
    async def report(ctx: JobContext) -> None: ...

    app.schedule(report, "every 60", name="nightly", misfire="all", catchup=90)
    async with working(app, clock=clock):
        await clock.advance(61)
    clock.suspend(300)
    async with working(app, clock=clock):
        await clock.advance(10)
    found = await scrape(app)
    ticks = found["aioq_cron_ticks_total"]
    assert ticks["nightly", "missed", "default"] == 3
    assert found["aioq_cron_lateness_seconds_sum"]["nightly", "default"] > 60
    assert found["aioq_jobs_enqueued_total"]["default", "report"] == ticks["nightly", "fired", "default"] == 3


async def test_ledger_tells_overdue_paused_and_successful_entries(
    app: Aarq, broker: FlakyBroker, clock: VirtualClock
) -> None:
    """An entry whose worker is gone becomes overdue; a paused one does not."""

    @app.cron("every 60", name="sweep", unique=True, grace=10)
    async def sweep(_: CronContext) -> None: ...

    @app.cron("every 60", name="held", unique=True, grace=10)
    async def held(_: CronContext) -> None: ...

    async with working(app, clock=clock):
        await clock.advance(61)
        await broker.pause_cron(CronKey("default", "held"), note="holidays", by="ada")
    found = await scrape(app)
    assert found["aioq_cron_entries"] == {("active",): 1, ("paused",): 1, ("disabled",): 0}
    assert found["aioq_cron_overdue_seconds"] == {("sweep", "default"): 0, ("held", "default"): 0}
    success = found["aioq_cron_last_success_timestamp_seconds"]["sweep", "default"]
    assert success <= await broker.time() < success + 60
    clock.suspend(100)
    found = await scrape(app)
    overdue = await broker.time() - success - 60
    assert found["aioq_cron_overdue_seconds"] == {("sweep", "default"): overdue, ("held", "default"): 0}
