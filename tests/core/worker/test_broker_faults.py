"""A worker whose broker fails: the worker goes on, and loses nothing."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioq import Aarq, BrokerUnavailable
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.rig import drain, until, working


class Unspeakable(Exception):
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


DOWN = BrokerUnavailable("connection refused")

ERRORS = [DOWN, OSError("reset by peer"), TimeoutError(), RuntimeError("bug"), Unspeakable()]

METHODS = ["claim", "settle", "extend", "reap", "heartbeat", "wait_and_claim"]


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", METHODS)
async def test_worker_any_failing_call_loses_no_job(
    clock: VirtualClock, method: str, error: Exception, answer_lost: bool
) -> None:
    """Every job runs once, whichever call fails three times, before or after it took effect."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    runs: list[int] = []

    @app.task(name="note")
    async def note(_: object, n: int) -> None:
        await clock.sleep(2)
        runs.append(n)

    await note.enqueue_many(note.call(n) for n in range(10))
    broker.fail(method, *[error] * 3, answer_lost=answer_lost)
    async with working(app, clock=clock, lease=3, concurrency=4, poll=1):
        while len(runs) < 10 or broker.calls[method] < 4:
            await clock.advance(0.5)
    assert sorted(runs) == list(range(10))
    (stats,) = await broker.queue_stats()
    assert (stats.pending, stats.running, stats.dead) == (0, 0, 0)


async def test_worker_after_outage_reports_and_claims(
    app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """After an outage, jobs that were running are reported, and new ones are claimed."""
    started, release = anyio.Event(), anyio.Event()

    @app.task
    async def work(_: object) -> str:
        started.set()
        await release.wait()
        return "done"

    async with working(app):
        job = await work.enqueue()
        await started.wait()
        broker.go_down()
        release.set()
        await until(lambda: broker.calls["settle"] >= 2)
        broker.come_up()
        assert await job.result(timeout=5) == "done"
        assert await (await work.enqueue()).result(timeout=5) == "done"
        # The outage ends when the last of the calls that it has stopped succeeds.
        await until(lambda: len(caplog.records) >= 2)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_worker_broker_with_required_methods_only_suffices(app: Aarq) -> None:
    """A worker needs no method beyond the `Broker` protocol."""
    app.broker = BareBroker()
    ran: list[int] = []

    @app.task(retries=1, retry_delay=0)
    async def work(ctx: dict[str, Any]) -> None:
        ran.append(ctx["attempt"])
        if ctx["attempt"] == 1:
            raise ValueError("again")

    await work.enqueue()
    await drain(app, poll=0.01)
    assert ran == [1, 2]
