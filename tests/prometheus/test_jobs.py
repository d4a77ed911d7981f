"""Counters and histograms of jobs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, Histogram

from aioq import Aarq, JobContext
from aioq.model.job import ClaimRequest
from aioq.model.statistics import BUCKETS
from aioq.testing import VirtualClock
from aioq_prometheus import labels
from aioq_prometheus.runs import COLLECTED, observe_many
from tests.core.brokers import FlakyBroker
from tests.core.rig import Hold, drain, settle_down, working
from tests.prometheus.conftest import nonzero, scrape


async def test_each_outcome_is_counted(app: Aarq, broker: FlakyBroker, clock: VirtualClock) -> None:
    """Jobs are counted by queue, task and outcome: completed, retried, failed, expired, dead, released and cancelled."""

    @app.task(name="fine", queue="mails")
    async def fine(ctx: JobContext) -> None: ...

    @app.task(name="fails", retries=1, retry_delay=0)
    async def fails(ctx: JobContext) -> None:
        raise ValueError

    @app.task(name="late")
    async def late(ctx: JobContext) -> None: ...

    await fine.enqueue_many([fine.call(), fine.call()])
    await fails.enqueue()
    await late.options(expires=5).enqueue()
    cancelled = await fine.enqueue()
    assert await cancelled.cancel()
    clock.suspend(10)
    await drain(app, clock=clock)
    found = await scrape(app)
    assert found["aioq_jobs_enqueued_total"] == {("mails", "fine"): 3, ("default", "fails"): 1, ("default", "late"): 1}
    assert nonzero(found["aioq_jobs_total"]) == {
        ("completed", "mails", "fine"): 2,
        ("cancelled", "mails", "fine"): 1,
        ("retried", "default", "fails"): 1,
        ("failed", "default", "fails"): 1,
        ("expired", "default", "late"): 1,
    }
    assert found["aioq_job_duration_seconds_count"] == {
        ("completed", "mails", "fine"): 2,
        ("retried", "default", "fails"): 1,
        ("failed", "default", "fails"): 1,
        ("expired", "default", "late"): 0,
    }
    assert found["aioq_job_wait_seconds_count"] == {
        ("mails", "fine"): 2, ("default", "fails"): 2, ("default", "late"): 1,
    }  # fmt: skip
    assert found["aioq_job_wait_seconds_sum"]["mails", "fine"] == pytest.approx(20)


async def test_run_that_is_cancelled_has_a_duration(app: Aarq, clock: VirtualClock) -> None:
    """The client counts the job, and the worker measures its run."""
    hold = Hold(app)
    job = await hold.task.enqueue()
    async with working(app, clock=clock):
        await hold.started.wait()
        await job.cancel()
        await clock.advance(1)
        await settle_down()
    found = await scrape(app)
    assert nonzero(found["aioq_jobs_total"]) == {("cancelled", "default", "hold"): 1}
    assert found["aioq_job_duration_seconds_count"] == {("cancelled", "default", "hold"): 1}


async def test_runs_are_seen_at_the_next_request(app: Aarq, clock: VirtualClock) -> None:
    """A request sees what has ended before it, also in a worker that is idle since."""

    @app.task(name="t")
    async def task(ctx: JobContext) -> None: ...

    async with working(app, clock=clock):
        for number in (1, 2):
            await task.enqueue()
            await settle_down()
            assert nonzero((await scrape(app))["aioq_jobs_total"]) == {("completed", "default", "t"): number}


async def test_worker_begins_with_zeros(app: Aarq, clock: VirtualClock) -> None:
    """The first failure of a task raises a counter that was there before, so that a rate shows it."""

    @app.task(name="mine")
    async def mine(ctx: JobContext) -> None: ...

    @app.task(name="theirs", queue="other")
    async def theirs(ctx: JobContext) -> None: ...

    async with working(app, clock=clock, queues=["default"]):
        await settle_down()
        found = await scrape(app)
    assert found["aioq_jobs_total"] == {
        ("completed", "default", "mine"): 0, ("failed", "default", "mine"): 0, ("dead", "default", "mine"): 0,
    }  # fmt: skip


async def test_job_that_crashes_its_workers_is_dead(app: Aarq, broker: FlakyBroker, clock: VirtualClock) -> None:
    """The worker that takes a job from one that is gone counts it as dead; it has no run here."""

    @app.task(name="poison", max_crashes=1)
    async def poison(ctx: JobContext) -> None: ...

    await poison.enqueue()
    await broker.claim(ClaimRequest(worker_id="gone", queues=("default",), limit=1, lease=5, request_id="g"))
    async with working(app, clock=clock, lease=3):
        await clock.advance(30)
    found = await scrape(app)
    assert nonzero(found["aioq_jobs_total"]) == {("dead", "default", "poison"): 1}


async def test_names_that_the_app_does_not_define_are_other(
    app: Aarq, broker: FlakyBroker, clock: VirtualClock
) -> None:
    """A task that the worker does not know, sent by a newer client, has no series of its own."""
    client = Aarq(broker, name="shop")

    @client.task(name="new")
    async def new(ctx: JobContext) -> None: ...

    @app.task(name="old")
    async def old(ctx: JobContext) -> None: ...

    await new.enqueue()
    async with working(app, clock=clock):
        await clock.advance(1)
    found = await scrape(app)
    assert {labels[1:] for labels in nonzero(found["aioq_jobs_total"])} == {("default", "other")}


async def test_series_are_bounded(app: Aarq, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> None:
    """Beyond the limit of pairs of queue and task, jobs are counted as `other`, and none is lost."""
    monkeypatch.setattr(labels, "MAX_PAIRS", 3)

    async def task(ctx: JobContext) -> None: ...

    for number in range(10):
        await app.task(name=f"t{number}", queue=f"q{number}")(task).enqueue()
    await drain(app, clock=clock)
    found = await scrape(app)
    expected = {**{(f"q{number}", f"t{number}"): 1 for number in range(3)}, ("other", "other"): 7}
    assert found["aioq_jobs_enqueued_total"] == expected
    assert nonzero(found["aioq_jobs_total"]) == {("completed", *pair): count for pair, count in expected.items()}


async def test_many_runs_are_all_counted(app: Aarq, clock: VirtualClock) -> None:
    """Runs that were put into the metrics together, and those that wait for a request, make the total."""

    @app.task(name="t")
    async def task(ctx: JobContext) -> None: ...

    number = 2 * COLLECTED + 7
    await task.enqueue_many([task.call() for _ in range(number)])
    await drain(app, clock=clock)
    for _ in range(2):
        found = await scrape(app)
        assert nonzero(found["aioq_jobs_total"]) == {("completed", "default", "t"): number}
        assert found["aioq_job_duration_seconds_count"] == {("completed", "default", "t"): number}


@pytest.mark.parametrize("internal", [True, False])
def test_observing_many_is_observing_each(internal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A histogram has the same buckets and sum as if each value was observed, also with another prometheus_client."""
    values = [0.0, *BUCKETS, *(bound * 1.5 for bound in BUCKETS), 1e9]
    registry = CollectorRegistry()
    many = Histogram("many", "", registry=registry, buckets=BUCKETS)
    each = Histogram("each", "", registry=registry, buckets=BUCKETS)
    for value in values:
        each.observe(value)
    if internal:
        # It must not be needed: one call for each value is what takes long.
        monkeypatch.setattr(many, "observe", None)
        observe_many(many, values)
    else:
        observe_many(cast("Histogram", SimpleNamespace(observe=many.observe)), values)
    assert _values(many) == _values(each)


def _values(histogram: Histogram) -> list[float]:
    (family,) = histogram.collect()
    return [sample.value for sample in family.samples if not sample.name.endswith("_created")]
