"""What a process counts, and how the counts reach the broker: each once, also after lost answers and outages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from aioq import Aarq, Retry, Worker
from aioq.backends import MemoryBroker
from aioq.counts import reporter
from aioq.errors import BrokerConfigError
from aioq.model.statistics import Count, JobOutcome, Step
from aioq.protocols import Statistics
from aioq.testing import FaultyBroker, VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import working


async def counted(broker: object, step: Step = Step.HOUR) -> dict[tuple[str, JobOutcome], int]:
    """Return how many jobs the broker has counted by task and outcome."""
    found: dict[tuple[str, JobOutcome], int] = {}
    for count in await read(broker, step):
        found[count.task, count.outcome] = found.get((count.task, count.outcome), 0) + count.count
    return found


async def read(broker: object, step: Step = Step.HOUR) -> list[Count]:
    """Return all counts."""
    assert isinstance(broker, Statistics)
    return await broker.read_counts(step=step, start=0, end=1e11)


ENQUEUED, COMPLETED, FAILED = JobOutcome.ENQUEUED, JobOutcome.COMPLETED, JobOutcome.FAILED


async def test_worker_and_client_count_every_outcome(broker: FlakyBroker) -> None:
    """Jobs are counted as enqueued and by each outcome, with the waits of all and the durations of those that ran."""
    app = Aarq(broker)

    @app.task(name="work", retries=1, retry_delay=0)
    async def work(_: object, how: str) -> None:
        if how == "retry":
            raise Retry(delay=0)
        if how == "fail":
            raise ValueError

    for how in ("ok", "ok", "retry", "fail"):
        await work.enqueue(how)
    cancelled = await work.options(defer_by=60).enqueue("ok")
    assert await cancelled.cancel()
    await Worker(app, burst=True, handle_signals=False).run()
    assert await counted(broker) == {
        ("work", ENQUEUED): 5,
        ("work", JobOutcome.CANCELLED): 1,
        ("work", COMPLETED): 2,
        ("work", JobOutcome.RETRIED): 2,
        ("work", FAILED): 2,
    }
    times = {one.outcome: (sum(one.waits), sum(one.durations)) for one in await read(broker)}
    assert times[COMPLETED] == times[FAILED] == times[JobOutcome.RETRIED] == (2, 2)
    assert times[ENQUEUED] == (0, 0)


async def test_worker_reports_with_its_heartbeat(clock: VirtualClock) -> None:
    """A worker reports three times per lease, and not while there is nothing to report."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task(name="work")
    async def work(_: object) -> None: ...

    async with working(app, clock=clock, lease=30):
        await work.enqueue()
        await clock.advance(9)
        assert broker.calls["add_counts"] == 0
        await clock.advance(2)
        assert broker.calls["add_counts"] == 1
        await clock.advance(60)
        assert broker.calls["add_counts"] == 1
        await work.enqueue()
        await clock.settle()
    assert broker.calls["add_counts"] == 2
    assert (await counted(broker))["work", COMPLETED] == 2


async def test_lost_answer_counts_nothing_twice() -> None:
    """A report whose answer was lost is repeated with its number, before what was counted since."""
    broker = FaultyBroker(MemoryBroker())
    app = Aarq(broker)

    @app.task(name="work")
    async def work(_: object) -> None: ...

    await work.enqueue()
    broker.lose_reply(1)
    await app.counts.report()
    assert broker.lost == 1
    await work.enqueue()
    await app.counts.report()
    assert await counted(broker) == {("work", ENQUEUED): 2}
    await app.close()


async def test_outage_keeps_counts_and_their_minutes(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted during an outage is reported after it, in the minutes in which it happened."""
    monkeypatch.setattr(reporter, "SystemClock", lambda: clock)
    broker = FaultyBroker(MemoryBroker(clock=clock))
    app = Aarq(broker)
    await app.counts.report()
    for _ in range(3):
        app.counts.add("q", "work", FAILED)
        broker.go_down()
        await app.counts.report()
        broker.recover()
        await clock.advance(60)
    await app.counts.report()
    assert [count.count for count in await read(broker, Step.MINUTE)] == [1, 1, 1]


async def test_long_outage_gives_up_what_the_broker_may_have_forgotten(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that may have been counted an hour ago is not repeated; what was never sent is kept, by the hour."""
    monkeypatch.setattr(reporter, "SystemClock", lambda: clock)
    broker = FaultyBroker(MemoryBroker(clock=clock))
    app = Aarq(broker)
    app.counts.add("q", "first", FAILED)
    broker.lose_reply(1)
    await app.counts.report()
    broker.go_down()
    for _ in range(5):
        app.counts.add("q", "later", FAILED)
        await clock.advance(3600)
    broker.recover()
    await app.counts.report()
    assert await counted(broker) == {("first", FAILED): 1, ("later", FAILED): 5}


async def test_wrong_clock_of_the_host_moves_no_count(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts belong to the minutes of the broker's clock, also those from before the first report."""
    wrong = VirtualClock(clock.time() - 3 * 86_400)
    monkeypatch.setattr(reporter, "SystemClock", lambda: wrong)
    broker = MemoryBroker(clock=clock)
    app = Aarq(broker)
    for _ in range(2):
        app.counts.add("q", "work", FAILED)
        await app.counts.report()
    (minute,) = await read(broker, Step.MINUTE)
    assert (minute.count, minute.start) == (2, clock.time())


async def test_rejected_report_harms_no_job(broker: FlakyBroker, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the broker is logged once, and the counts are reported when it is over."""
    app = Aarq(broker)

    @app.task(name="work")
    async def work(_: object) -> None: ...

    await work.enqueue()
    broker.fail("add_counts", *[BrokerConfigError("no right to this")] * 2)
    await app.counts.report()
    await app.counts.report()
    rejected = "the broker rejects counts of jobs, which wait: no right to this"
    assert caplog.messages == [rejected]
    await app.close()
    assert await counted(broker) == {("work", ENQUEUED): 1}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_client_reports_by_a_timer(broker: FlakyBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client reports some seconds after its first count, and then sets no timer until it counts again."""
    monkeypatch.setattr(reporter, "REPORT_EVERY", 0.01)
    app = Aarq(broker)

    @app.task(name="work")
    async def work(_: object) -> None: ...

    await work.enqueue_many([work.call() for _ in range(250)])
    with anyio.fail_after(30):
        while not await counted(broker):
            await anyio.sleep(0.005)
    assert (await counted(broker), broker.calls["add_counts"]) == ({("work", ENQUEUED): 250}, 1)
    await anyio.sleep(0.05)
    assert broker.calls["add_counts"] == 1
    await app.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_short_event_loops_report_from_enqueue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that starts an event loop for each call reports, too, although no loop lives until its timer."""
    app = Aarq(broker := MemoryBroker())

    @app.task(name="work")
    async def work(_: object) -> None: ...

    def enqueue() -> None:
        for _ in range(2):
            # Closed before its timer goes off.
            asyncio.run(work.enqueue())

    monkeypatch.setattr(reporter, "REPORT_EVERY", 3600.0)
    thread = threading.Thread(target=enqueue)
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    assert await counted(broker) == {}
    app.counts._due = 0.0  # pyright: ignore[reportPrivateUsage]  # as if the timer should have gone off
    await work.enqueue()
    assert await counted(broker) == {("work", ENQUEUED): 3}
    await app.close()


async def test_known_job_is_not_counted_again(broker: FlakyBroker) -> None:
    """An enqueue of a known id counts nothing."""
    app = Aarq(broker)

    @app.task(name="work")
    async def work(_: object) -> None: ...

    call = work.options(job_id="a").call()
    await app.enqueue_many([call, call])
    await app.enqueue_many([call])
    await app.close()
    assert await counted(broker) == {("work", ENQUEUED): 1}


async def test_broker_without_statistics_costs_nothing() -> None:
    """Without the protocol nothing is counted, and no duty of a worker reports."""

    class Plain(MemoryBroker):
        add_counts = None  # type: ignore[assignment]  # as a broker of an older release
        read_counts = None  # type: ignore[assignment]

    app = Aarq(Plain())

    @app.task(name="work")
    async def work(_: object) -> None: ...

    await work.enqueue()
    assert not app.counts.enabled
    await Worker(app, burst=True, handle_signals=False).run()


async def test_forked_process_forgets_the_counts_of_its_parent(broker: FlakyBroker) -> None:
    """What was counted before a fork is reported by the process that counted it, and by no other."""
    app = Aarq(broker)
    app.counts.add("q", "work", FAILED)
    app.counts.start_over()
    await app.counts.report()
    assert await counted(broker) == {}


async def test_many_names_share_a_series(broker: FlakyBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process keeps a bounded number of tallies, whatever names jobs have."""
    monkeypatch.setattr("aioq.counts.tallies.MAX_SERIES", 10)
    app = Aarq(broker)
    names: Sequence[Any] = [f"t{number}" for number in range(25)]
    for name in (*names, *names[:10]):
        app.counts.add("q", name, FAILED)
    await app.counts.report()
    found = await counted(broker)
    assert (len(found), found["*", FAILED], found["t0", FAILED]) == (11, 15, 2)
