"""A worker whose queue is paused: it waits, says so once, and goes on after the resume."""

from __future__ import annotations

import pytest

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.testing import VirtualClock
from tests.core.rig import Hold, settle_down, until, working


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return the codes and queues of what the worker has logged about pauses."""
    codes = ("queue_paused", "queue_resumed")
    found = [(getattr(record, "event", ""), getattr(record, "queue", "")) for record in caplog.records]
    return [(event, queue) for event, queue in found if event in codes]


async def test_worker_of_paused_queue_starts_no_job_until_resumed(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs of a paused queue wait, those of other queues run; the worker logs the pause and the resume once."""
    caplog.set_level("INFO", "aioq.worker")
    broker = MemoryBroker(clock=clock)
    app = Aarq(broker)
    hold = Hold(app, queue="q")
    ran: list[str] = []

    @app.task(queue="p")
    async def work(ctx: object) -> None:
        ran.append("p")

    await broker.pause_queue("q", note="", by="ada")
    async with working(app, queues=["p", "q"]):
        await hold.task.enqueue()
        await work.enqueue()
        await until(lambda: bool(ran))
        await clock.advance(60)
        await settle_down()
        assert hold.attempts == []
        assert events(caplog) == [("queue_paused", "q")]
        await broker.resume_queue("q")
        await hold.started.wait()
        hold.release.set()
    assert events(caplog) == [("queue_paused", "q"), ("queue_resumed", "q")]


async def test_burst_of_paused_queue_ends(clock: VirtualClock) -> None:
    """A burst does not wait for the resume: nothing of the queue is due to it."""
    broker = MemoryBroker(clock=clock)
    app = Aarq(broker)
    hold = Hold(app)
    await hold.task.enqueue()
    await broker.pause_queue("default", note="", by="ada")
    async with working(app):
        await settle_down()
    assert hold.attempts == []
