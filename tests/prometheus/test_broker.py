"""What is asked of the broker for a scrape: queues, workers, and whether it answers."""

from __future__ import annotations

from importlib.metadata import version

import anyio
import pytest
from prometheus_client import CollectorRegistry

import aioq_prometheus
from aioq import Aarq, JobContext, WorkerEvent
from aioq.backends import MemoryBroker
from aioq.testing import VirtualClock
from aioq.worker import runner
from aioq.worker.execution import anyio_tasks, asyncio_tasks
from aioq_prometheus import broker_facts
from aioq_prometheus.broker_facts import BrokerFacts
from tests.core.brokers import FlakyBroker, PartedBroker
from tests.core.rig import Hold, settle_down, working
from tests.prometheus.conftest import scrape


async def test_queues_have_jobs_by_state_and_latency(app: Aarq, broker: FlakyBroker, clock: VirtualClock) -> None:
    """A queue has its jobs by state, how long the next one has been due, its failures, and what is stopped."""

    @app.task(name="send", queue="mails")
    async def send(ctx: JobContext) -> None: ...

    await send.enqueue_many([send.call(), send.call()])
    await send.options(defer_by=100).enqueue()
    await broker.pause_queue("mails", note="", by="ada")
    await broker.stop_task("send", queue="mails", note="", by="ada")
    clock.suspend(7)
    found = await scrape(app)
    assert found["aioq_queue_jobs"] == {
        ("mails", "pending"): 2, ("mails", "scheduled"): 1, ("mails", "running"): 0, ("mails", "dead"): 0,
        ("mails", "expired"): 0,
    }  # fmt: skip
    assert found["aioq_queue_latency_seconds"] == {("mails",): 7}
    assert found["aioq_queue_failures"] == {("mails",): 0}
    assert found["aioq_queue_paused"] == {("mails",): 1}
    assert found["aioq_queue_stopped_tasks"] == {("mails",): 1}
    assert found["aioq_queue_workers"] == {("mails",): 0}
    assert found["aioq_broker_up"] == {(): 1}
    assert found["aioq_info"] == {("shop", version("aioq-core")): 1}


async def test_further_queues_are_counted_together(app: Aarq, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, the queues of the app come first, and the jobs of all others are in `other`."""
    monkeypatch.setattr(broker_facts, "MAX_QUEUES", 2)
    client = Aarq(app.broker, name="client")

    async def task(ctx: JobContext) -> None: ...

    for queue in ("a", "b", "c", "z"):
        await client.task(name=queue, queue=queue)(task).enqueue()
    app.task(name="z", queue="z")(task)
    found = await scrape(app)
    pending = {labels[0]: value for labels, value in found["aioq_queue_jobs"].items() if labels[1] == "pending"}
    assert pending == {"z": 1, "a": 1, "other": 2}
    assert found["aioq_queue_latency_seconds"].keys() == {("z",), ("a",)}


async def test_workers_are_seen_by_their_process_and_by_the_fleet(app: Aarq, clock: VirtualClock) -> None:
    """The gauges of the process are those of its workers, and go back to 0 when these have stopped."""
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock, concurrency=3, lease=30), working(app, clock=clock, concurrency=2, lease=30):
        await hold.started.wait()
        await clock.advance(11)
        found = await scrape(app)
        assert (found["aioq_worker_slots"], found["aioq_worker_busy_slots"]) == ({(): 5}, {(): 1})
        assert found["aioq_worker_stuck_slots"] == {(): 0}
        assert found["aioq_worker_memory_bytes"][()] > 1_000_000
        assert found["aioq_worker_loop_lag_seconds"][()] >= 0
        assert (found["aioq_fleet_workers"], found["aioq_fleet_slots"]) == ({(): 2}, {(): 5})
        assert (found["aioq_fleet_busy_slots"], found["aioq_fleet_stuck_slots"]) == ({(): 1}, {(): 0})
        assert found["aioq_queue_workers"] == {("default",): 2}
        hold.release.set()
    found = await scrape(app)
    assert (found["aioq_worker_slots"], found["aioq_fleet_workers"]) == ({(): 0}, {(): 0})


async def test_outage_is_counted_while_it_lasts_and_when_it_ends(
    app: Aarq, broker: FlakyBroker, clock: VirtualClock
) -> None:
    """During an outage the broker is not up, and its facts are left out; afterwards its seconds are counted."""

    @app.task(name="t")
    async def task(ctx: JobContext) -> None: ...

    async with working(app, clock=clock):
        await clock.advance(2)
        broker.go_down()
        await clock.advance(20)
        found = await scrape(app)
        assert found["aioq_broker_up"] == {(): 0}
        assert found["aioq_broker_workers_cut_off"] == {(): 1}
        assert found["aioq_broker_outages_total"] == {("broker",): 1}
        assert "aioq_queue_jobs" not in found
        assert "aioq_fleet_workers" not in found
        broker.come_up()
        await clock.advance(5)
        found = await scrape(app)
    assert (found["aioq_broker_up"], found["aioq_broker_workers_cut_off"]) == ({(): 1}, {(): 0})
    assert found["aioq_broker_outage_seconds_total"]["broker",] == pytest.approx(20, abs=3)


async def test_stuck_slot_is_seen(app: Aarq, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot whose task ignores its timeout is counted once, and shown with the next report of its worker."""
    for module in (asyncio_tasks, anyio_tasks, runner):
        monkeypatch.setattr(module, "OVERRUN_AFTER", 0.01)
    stuck, release = anyio.Event(), anyio.Event()
    app.on(WorkerEvent.STUCK, lambda _: stuck.set())

    @app.task(name="deaf", timeout=0.01)
    async def deaf(ctx: JobContext) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    await deaf.enqueue()
    async with working(app, clock=clock, lease=30):
        while not stuck.is_set():
            await clock.advance(1)
            await anyio.sleep(0.01)
        await clock.advance(11)
        found = await scrape(app)
        assert found["aioq_worker_slots_stuck_total"] == {(): 1}
        assert (found["aioq_worker_stuck_slots"], found["aioq_fleet_stuck_slots"]) == ({(): 1}, {(): 1})
        release.set()


async def test_queues_that_are_away_are_counted(
    registry: CollectorRegistry, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While some queues cannot be reached, a worker shows how many, and the facts of the others; then their outage."""
    monkeypatch.setattr(broker_facts, "MAX_AGE", 0.0)
    monkeypatch.setattr(broker_facts, "SHARE", float("inf"))
    broker = PartedBroker(clock=clock)
    app = Aarq(broker, name="parted")
    aioq_prometheus.instrument(app, registry=registry)

    async def task(ctx: JobContext) -> None: ...

    here, away = (app.task(name=queue, queue=queue)(task) for queue in ("here", "away"))
    await here.enqueue()
    await away.enqueue()
    broker.away = {"away"}
    async with working(app, clock=clock):
        await clock.advance(5)
        found = await scrape(app)
        assert (found["aioq_broker_queues_away"], found["aioq_broker_workers_cut_off"]) == ({(): 1}, {(): 0})
        assert found["aioq_broker_outages_total"] == {("queues",): 1}
        assert found["aioq_broker_up"] == {(): 1}
        assert ("here", "pending") in found["aioq_queue_jobs"]
        broker.away = set()
        await clock.advance(10)
        found = await scrape(app)
    assert found["aioq_broker_queues_away"] == {(): 0}
    assert found["aioq_broker_outage_seconds_total"]["queues",] >= 5


async def test_requests_share_an_answer_of_the_broker(broker: FlakyBroker, clock: VirtualClock) -> None:
    """Ten requests at a time, and all of the next seconds, cost one read, also if the broker does not answer."""
    app = Aarq(broker, name="shop")
    facts = BrokerFacts(app, clock)
    async with anyio.create_task_group() as requests:
        for _ in range(10):
            requests.start_soon(facts.refresh)
    assert broker.calls["time"] == 1
    await facts.refresh()
    assert broker.calls["time"] == 1
    broker.go_down()
    clock.suspend(broker_facts.OLDEST)
    await facts.refresh()
    await facts.refresh()
    assert (broker.calls["time"], facts.latest) == (2, None)
    broker.come_up()
    clock.suspend(broker_facts.OLDEST)
    await facts.refresh()
    assert facts.latest is not None


async def test_old_facts_are_left_out(app: Aarq, registry: CollectorRegistry, clock: VirtualClock) -> None:
    """Without `render`, as behind `prometheus_client.start_http_server`, there are no facts of the broker, and no error."""
    names = {family.name for family in registry.collect() if family.samples}
    assert "aioq_worker_slots" in names
    assert not {"aioq_broker_up", "aioq_queue_jobs"} & names
    facts = BrokerFacts(app, clock)
    await facts.refresh()
    assert facts.latest is not None
    clock.suspend(broker_facts.OLDEST + broker_facts.MAX_AGE + 1)
    assert facts.latest is None


async def test_broker_that_hangs_is_not_waited_for(
    app: Aarq, broker: FlakyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape ends although the broker does not answer."""
    monkeypatch.setattr(broker_facts, "TIMEOUT", 0.01)
    monkeypatch.setattr(broker, "time", anyio.sleep_forever)
    found = await scrape(app)
    assert found["aioq_broker_up"] == {(): 0}
    await settle_down()


async def test_broker_without_protocols_has_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broker cannot tell is left out."""
    registry = CollectorRegistry()
    app = Aarq(MemoryBroker(), name="small")
    aioq_prometheus.instrument(app, registry=registry)
    monkeypatch.setattr(broker_facts, "supports", lambda *_: False)
    found = await scrape(app)
    assert found["aioq_broker_up"] == {(): 1}
    assert not [name for name in found if name.startswith(("aioq_queue", "aioq_fleet", "aioq_cron_entries"))]
