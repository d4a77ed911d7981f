"""How a worker learns that running jobs were cancelled."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import anyio
import pytest

from aioq import Aarq, BrokerUnavailable
from aioq.model.job import CancelledRun
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import Hold, record_of, settle_down, working

DOWN = BrokerUnavailable("connection refused")


async def _nothing() -> AsyncGenerator[str, None]:
    for job_id in tuple[str, ...]():
        yield job_id


async def test_cancellations_late_one_does_not_hit_the_replay(clock: VirtualClock) -> None:
    """If a cancellation arrives when the worker runs a replay of the job already, the replay goes on."""
    held_up = anyio.Event()

    class Late(FlakyBroker):
        async def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:
            async for run in super().aborts(worker_id):
                await held_up.wait()
                yield run

    app = Aarq(broker := Late(clock=clock))
    hold = Hold(app)
    async with working(app, clock=clock, lease=3):
        job = await hold.task.enqueue()
        await hold.started.wait()
        hold.started = anyio.Event()
        await job.cancel()
        await broker.retry_job(job.id, queue="default")
        await hold.started.wait()
        held_up.set()
        await settle_down()
        hold.release.set()
        assert await job.result(timeout=5) == "ended"
    record = await record_of(broker, job.id)
    assert (record.crashes, record.attempt) == (0, 1)


async def test_cancellations_missed_one_is_found_by_heartbeat(clock: VirtualClock) -> None:
    """If the subscription fails, the next heartbeat finds the lost lease."""

    class Mute(FlakyBroker):
        def aborts(self, worker_id: str) -> Any:
            raise RuntimeError("not permitted")

    app = Aarq(Mute(clock=clock))
    started, ended = anyio.Event(), anyio.Event()

    @app.task
    async def work(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with working(app, clock=clock, lease=3):
        job = await work.enqueue()
        await started.wait()
        await job.cancel()
        await settle_down()
        assert not ended.is_set()
        await clock.advance(1)
        await ended.wait()


@pytest.mark.parametrize(("error", "lines"), [(DOWN, 0), (RuntimeError("not permitted"), 1)])
async def test_cancellations_failed_subscription_is_logged_once(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture, error: Exception, lines: int
) -> None:
    """An outage is not logged here, and a rejected subscription is logged once; both are retried."""
    attempts: list[int] = []

    class Mute(FlakyBroker):
        def aborts(self, worker_id: str) -> Any:
            attempts.append(1)
            raise error

    async with working(Aarq(Mute(clock=clock)), clock=clock):
        await clock.advance(60)
    assert len(attempts) > 30
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * lines


async def test_cancellations_ended_subscription_is_renewed(clock: VirtualClock) -> None:
    """The worker subscribes again if the broker ends the subscription."""

    class Brief(FlakyBroker):
        def aborts(self, worker_id: str) -> Any:
            streams.append(worker_id)
            return _nothing()

    streams: list[str] = []
    async with working(Aarq(Brief(clock=clock)), clock=clock, id="w1"):
        await clock.advance(60)
    assert len(streams) > 30
    assert set(streams) == {"w1"}
