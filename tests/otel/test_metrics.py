"""Counters and histograms of enqueues, runs, outcomes, ticks and workers."""

from __future__ import annotations

import pytest

from aioq import Aarq, BrokerUnavailable, JobContext
from aioq.testing import VirtualClock
from tests.core.rig import drain, working
from tests.otel.conftest import Telemetry


async def test_metrics_of_enqueues_and_runs(app: Aarq, telemetry: Telemetry, clock: VirtualClock) -> None:
    """Jobs are counted by queue and task when they are sent and run, and by outcome when they end."""

    @app.task(name="send", queue="mails")
    async def send(ctx: JobContext) -> None: ...

    @app.task(name="fail", queue="mails", retries=1, retry_delay=0)
    async def fail(ctx: JobContext) -> None:
        raise ValueError

    await send.enqueue_many([send.call(), send.call()])
    await fail.enqueue()
    await drain(app, clock=clock)
    assert telemetry.counts("messaging.client.sent.messages") == {("send", "mails"): 2, ("fail", "mails"): 1}
    assert telemetry.counts("messaging.client.operation.duration") == {("send", "mails"): 1, ("fail", "mails"): 1}
    assert telemetry.counts("messaging.client.consumed.messages") == {("send", "mails"): 2, ("fail", "mails"): 2}
    assert telemetry.counts("messaging.process.duration") == {
        ("completed", "send", "mails"): 2,
        ("retried", "fail", "ValueError", "mails"): 1,
        ("failed", "fail", "ValueError", "mails"): 1,
    }
    assert telemetry.counts("aioq.job.wait") == {("send", "mails"): 2, ("fail", "mails"): 2}
    assert telemetry.counts("aioq.job.outcomes") == {
        ("completed", "send", "mails"): 2,
        ("retried", "fail", "mails"): 1,
        ("failed", "fail", "mails"): 1,
    }
    assert telemetry.points("aioq.job.wait")["send", "mails"].explicit_bounds[-1] == 3600
    assert telemetry.counts("aioq.worker.events") == {("worker_started",): 1, ("worker_stopped",): 1}


async def test_metrics_of_an_enqueue_that_fails(
    app: Aarq, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs of a call that failed are counted with the type of the error."""

    async def enqueue(_: object) -> list[bool]:
        raise BrokerUnavailable("connection refused")

    @app.task(name="send")
    async def send(ctx: JobContext) -> None: ...

    await app.connect()
    monkeypatch.setattr(app.broker, "enqueue", enqueue)
    with pytest.raises(BrokerUnavailable):
        await send.enqueue()
    key = ("send", "aioq.errors.BrokerUnavailable", "default")
    assert telemetry.counts("messaging.client.sent.messages") == {key: 1}


async def test_metrics_of_ticks(app: Aarq, telemetry: Telemetry, clock: VirtualClock) -> None:
    """Ticks are counted by entry and by what happened to them, with their lateness and duration."""

    @app.cron("every 5", name="sweep", overlap="skip")
    async def sweep(_: object) -> None:
        await clock.sleep(7)

    async with working(app, clock=clock):
        await clock.advance(13)
    entry = ("sweep", "default")
    assert telemetry.counts("aioq.cron.ticks") == {
        ("sweep", "fired", "default"): 1,
        ("sweep", "skipped", "default"): 1,
        ("sweep", "completed", "default"): 1,
    }
    assert telemetry.counts("aioq.cron.late") == {entry: 1}
    assert telemetry.counts("aioq.cron.duration") == {entry: 1}
