"""A worker sums up what it has done: each minute in which something happened, and at its end."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from aioq import Aarq
from aioq.testing import VirtualClock
from tests.core.rig import drain, settle_down, working


def summaries(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the summaries that were logged, as the attributes of their records."""
    return [vars(record) for record in caplog.records if getattr(record, "event", "") == "worker_summary"]


async def _work(_: object) -> None:
    """Do nothing."""


async def _fail(_: object) -> None:
    raise ValueError("no")


async def test_burst_ends_with_summary(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """The last line but one of a burst has the counts of all outcomes, in a constant template."""
    caplog.set_level(logging.INFO)
    work, fail = app.task(name="work")(_work), app.task(name="fail")(_fail)
    await app.enqueue_many([*(work.call() for _ in range(3)), fail.call()])
    await drain(app, id="w1")
    (seen,) = summaries(caplog)
    assert (seen["counts"], seen["running"], seen["final"]) == ({"completed": 3, "failed": 1}, 0, True)
    assert seen["worker_id"] == "w1"
    assert seen["message"].endswith(" s: 3 completed, 1 failed; 0 running")
    assert seen["msg"] == "summary of %.3f s: %s; %d running"
    assert caplog.messages[-2:] == [seen["message"], "worker w1 stopped"]


async def test_burst_without_jobs_says_so(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """A burst that found no job has a summary, too."""
    caplog.set_level(logging.INFO)
    await drain(app)
    assert [seen["message"].partition(" s: ")[2] for seen in summaries(caplog)] == ["no job ended; 0 running"]


async def test_minute_is_summed_up_if_something_happened(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each minute with an end of a job has one line with the counts of that minute, and a quiet one has none."""
    caplog.set_level(logging.INFO)
    work = app.task(name="work")(_work)
    async with working(app, clock=clock):
        await settle_down()
        await app.enqueue_many([work.call() for _ in range(2)])
        await clock.advance(61)
        assert [(seen["counts"], seen["final"]) for seen in summaries(caplog)] == [({"completed": 2}, False)]
        await clock.advance(120)
        assert len(summaries(caplog)) == 1
        await work.enqueue()
        await clock.advance(61)
        assert [seen["counts"] for seen in summaries(caplog)[1:]] == [{"completed": 1}]
        assert summaries(caplog)[1]["duration"] == pytest.approx(60, abs=1)
    assert [(seen["counts"], seen["final"]) for seen in summaries(caplog)[2:]] == [({"completed": 3}, True)]


async def test_minute_of_crons_is_summed_up(app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that fires crons and runs no job has summaries of the ticks."""
    caplog.set_level(logging.INFO)
    app.cron("every 20", name="often")(_work)
    async with working(app, clock=clock):
        await settle_down()
        await clock.advance(61)
        (seen,) = summaries(caplog)
        assert list(seen["counts"]) == ["ticks fired"]
        assert seen["counts"]["ticks fired"] in (2, 3)  # the third is at the end of the minute


async def test_summaries_of_minutes_can_be_turned_off(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """If a person sees the counts in another way, only the end is summed up."""
    caplog.set_level(logging.INFO)
    work = app.task(name="work")(_work)
    async with working(app, clock=clock) as worker:
        worker.summary.each_minute = False
        await settle_down()
        await work.enqueue()
        await clock.advance(61)
        assert summaries(caplog) == []
    assert [seen["final"] for seen in summaries(caplog)] == [True]


async def test_two_workers_of_one_app_count_their_own(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two workers in a process, each sums up its own jobs and ticks."""
    caplog.set_level(logging.INFO)
    work = app.task(name="work", queue="a")(_work)
    app.task(name="other", queue="b")(_work)
    async with working(app, clock=clock, queues=["a"], id="w1"), working(app, clock=clock, queues=["b"], id="w2"):
        await settle_down()
        await work.enqueue()
        await clock.advance(61)
        assert [(seen["worker_id"], seen["counts"]) for seen in summaries(caplog)] == [("w1", {"completed": 1})]
