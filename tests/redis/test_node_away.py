"""A cluster of three nodes without replicas, one of which is away: the queues of the others go on in everything."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aioq import Aarq, BrokerUnavailable, JobContext, Task, Worker
from aioq.errors import PartlyUnavailable
from aioq.model.health import Level
from aioq.model.job import Lease
from aioq.testing import SeveralStoresContract
from aioq_cron import Every
from aioq_redis import RedisBroker
from aioq_redis.client import client, connection
from aioq_redis.client.hash_slots import hash_slot
from aioq_redis.storage.keys import Layout
from tests import servers
from tests.cluster import Cluster, wait_until
from tests.redis.job_helpers import job, request, until
from tests.redis.layout import assert_consistent, keys_of
from tests.redis.nodes import Make, slot, spread
from tests.servers import RedisServer

# Every wait of these tests ends with an event; this bounds them on a slow machine.
PATIENCE = 40.0

EACH_SECOND = Every(timedelta(seconds=1))


@pytest.fixture(scope="session", params=servers.extremes()[:1])
def program(request: pytest.FixtureRequest) -> Path:
    """One kind of server will do: its node is away, whatever it is."""
    return servers.found()[request.param]


@pytest.fixture(scope="module")
def shards(program: Path) -> Iterator[Cluster]:
    """A cluster that keeps its data, and whose nodes serve their slots without the others."""
    # With `everysec` a killed server may lose what it has answered while it was writing to a slow disk.
    keep = ("--appendonly", "yes", "--appendfsync", "always")
    options = ("--cluster-require-full-coverage", "no", *keep)
    cluster = Cluster(program, "test-*", options=options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@dataclass
class Scene:
    """One queue on each node, and the node that goes away."""

    cluster: Cluster
    here: list[str]
    away: str
    node: RedisServer

    @property
    def queues(self) -> list[str]:
        """All queues."""
        return [*self.here, self.away]

    async def leave(self) -> None:
        """Kill the node."""
        await in_thread(self.node.kill)

    async def come_back(self) -> None:
        """Start the node again; return when it serves its slots."""
        await in_thread(self.start)

    def start(self) -> None:
        """Do the same without an event loop."""
        self.node.start()
        wait_until(lambda: self.cluster.serves(self.node))


@pytest.fixture(params=["other_node", "node_of_fleet"])
def scene(request: pytest.FixtureRequest, shards: Cluster, namespace: str) -> Iterator[Scene]:
    """The node that goes away has a queue only, or also the keys of the fleet; all keys are consistent at the end."""
    fleet = shards.owner_of(hash_slot(Layout(namespace).fleet.key("workers")))
    queues = spread(shards, namespace)
    owners = {queue: shards.owner_of(slot(namespace, queue)) for queue in queues}
    away = next(queue for queue in queues if (owners[queue] is fleet) == (request.param == "node_of_fleet"))
    scene = Scene(shards, [queue for queue in queues if queue != away], away, owners[away])
    yield scene
    scene.node.resume() if scene.node.running else scene.start()
    with shards.client() as client:
        assert_consistent(client, namespace)
        client.delete(*keys_of(client, namespace), "")


class App:
    """An app with one task for each queue, and what has run.

    Args:
        broker: The broker.
        queues: The queues.
    """

    def __init__(self, broker: RedisBroker, queues: list[str]) -> None:
        self.app = Aarq(broker, name="app")
        self.runs: Counter[str] = Counter()
        self.lasts = 0.0
        """Seconds that each job takes."""
        self.tasks: dict[str, Task[[], None]] = {}
        for queue in queues:
            self.tasks[queue] = self.app.task(queue=queue, name=f"work-{queue}")(self._work)

    async def _work(self, ctx: JobContext) -> None:
        self.runs[ctx["job_id"]] += 1
        await asyncio.sleep(self.lasts)

    async def enqueue(self, *queues: str, count: int = 1, prefix: str = "job") -> list[str]:
        """Enqueue jobs to each of the queues, and return their ids."""
        ids = [(queue, f"{prefix}-{queue}-{n}") for queue in queues for n in range(count)]
        for queue, id in ids:
            await self.tasks[queue].options(job_id=id).enqueue()
        return [id for _, id in ids]

    async def ran(self, ids: list[str]) -> None:
        """Return when all these jobs have run."""
        async with asyncio.timeout(PATIENCE):
            while not all(self.runs[id] for id in ids):  # the jobs set no event
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Return when the broker has the outcomes of all jobs that have run."""
        broker: Any = self.app.broker
        async with asyncio.timeout(PATIENCE):
            while any(stats.running for stats in await broker.queue_stats()):
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[Worker]:
        """Run a worker during the block."""
        worker = Worker(self.app, handle_signals=False, **{"lease": 3, **options})
        run = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            async with asyncio.timeout(PATIENCE):
                await run


@pytest.fixture
def work(scene: Scene, make: Make) -> App:
    """An app of its own, with connections that are not open yet."""
    return App(make(scene.cluster.url_of_all), scene.queues)


async def in_thread(call: Callable[[], object]) -> None:
    """Do what takes a while and is no coroutine."""
    await asyncio.to_thread(call)


def outages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return event and text of the log lines about queues that are away, and about the broker."""
    events = ("queues_unreachable", "queues_reachable", "broker_unreachable", "broker_reachable")
    return [
        (event, record.getMessage()) for record in caplog.records if (event := getattr(record, "event", "")) in events
    ]


async def joined(caplog: pytest.LogCaptureFixture) -> None:
    """Return when a worker has logged that its queues can be reached again."""
    async with asyncio.timeout(PATIENCE):
        while not any(event == "queues_reachable" for event, _ in outages(caplog)):
            await asyncio.sleep(0.01)


async def test_running_worker_goes_on_with_other_queues(
    scene: Scene, work: App, caplog: pytest.LogCaptureFixture
) -> None:
    """It runs the jobs of the other queues, logs the outage once with queue and node, and joins the queue again."""
    async with work.working():
        await work.ran(await work.enqueue(*scene.queues))
        # A report that concerned this queue alone would find nothing that can be reached.
        await work.settled()
        await scene.leave()
        await work.ran(await work.enqueue(*scene.here, count=20, prefix="meanwhile"))
        await until(lambda: outages(caplog))
        await scene.come_back()
        await joined(caplog)
        await work.ran(await work.enqueue(*scene.queues, prefix="after"))
    assert set(work.runs.values()) == {1}
    # On a busy machine the cluster may think for a moment that another of its nodes is away, too.
    lost, again = (text for _, text in outages(caplog) if text.startswith(f"queues {scene.away} "))
    assert lost.startswith(f"queues {scene.away} cannot be reached, other queues go on: ")
    assert f"node 127.0.0.1:{scene.node.port}: " in lost
    assert again.startswith(f"queues {scene.away} can be reached again after ")


async def test_worker_that_starts_goes_on_with_other_queues(
    scene: Scene, work: App, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that starts while the node is away serves the other queues, and joins the queue when it is back."""
    await make(scene.cluster.url_of_all).enqueue([job("early", queue=scene.away, task=f"work-{scene.away}")])
    await scene.leave()
    async with work.working():
        await work.ran(await work.enqueue(*scene.here, count=20))
        await scene.come_back()
        await joined(caplog)
        await work.ran(["early"])
    assert set(work.runs.values()) == {1}
    assert [event for event, _ in outages(caplog)] == ["queues_unreachable", "queues_reachable"]


async def test_worker_goes_on_while_node_hangs(
    scene: Scene, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that stands still without closing its connections costs the other queues its timeout once."""
    monkeypatch.setattr(client, "silence_limit", lambda timeout: 1.0)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)
    work = App(make(scene.cluster.url_of_all, timeout=1.0), scene.queues)
    async with work.working():
        await work.ran(await work.enqueue(*scene.queues))
        scene.node.pause()
        await work.ran(await work.enqueue(*scene.here, count=5, prefix="first"))
        async with asyncio.timeout(PATIENCE):
            while not outages(caplog):  # noticed by a claim or a report that was sent to the node
                await asyncio.sleep(0.05)
        await work.ran(await work.enqueue(*scene.here, count=20, prefix="meanwhile"))
        scene.node.resume()
        await joined(caplog)
        await work.ran(await work.enqueue(scene.away, prefix="after"))
    assert set(work.runs.values()) == {1}


async def test_burst_waits_a_lease_for_queue_that_is_away(scene: Scene, work: App) -> None:
    """It runs what can be reached, and then ends with the error that names the queue."""
    await scene.leave()
    ids = await work.enqueue(*scene.here)
    with pytest.raises(PartlyUnavailable, match=f"queues {scene.away} cannot be reached"):
        await Worker(work.app, burst=True, lease=1, handle_signals=False).run()
    assert work.runs == Counter(ids)


@pytest.mark.parametrize("end", ["kill", "pause"])
async def test_new_client_uses_other_queues(scene: Scene, make: Make, end: str) -> None:
    """A client that connects while a node is away enqueues to the other queues; the error of the queue names the node."""
    await in_thread(getattr(scene.node, end))
    broker = make(scene.cluster.url_of_all, timeout=3.0)
    await broker.connect()
    for queue in scene.here:
        assert await broker.enqueue([job("a", queue=queue)]) == [True]
        assert [lease.job_id for lease in (await broker.claim(request(queues=(queue,)))).leases] == ["a"]
    with pytest.raises(BrokerUnavailable, match=f"node 127.0.0.1:{scene.node.port}: "):
        await broker.enqueue([job("a", queue=scene.away)])


class TestParts(SeveralStoresContract):
    """What a call on several queues does for those that can be reached, and says of the others."""

    @pytest.fixture
    async def broker(self, scene: Scene, make: Make) -> RedisBroker:
        """A connected broker."""
        broker = make(scene.cluster.url_of_all)
        await broker.connect()
        return broker

    @pytest.fixture
    def stores(self, scene: Scene) -> Scene:
        """The nodes of its queues."""
        return scene

    async def test_claim_whose_answer_was_not_heard_is_released(
        self, scene: Scene, make: Make, broker: RedisBroker
    ) -> None:
        """The node leases its job for a claim that the worker has given up: the next claim gets it, as a first attempt."""
        await self.enqueue_to_all(broker, scene)
        worker, queues = make(scene.cluster.url_of_all, timeout=1.0), (scene.away, *scene.here)
        await worker.claim(request(0, queues=queues))
        scene.node.pause()
        with pytest.raises(PartlyUnavailable):
            await worker.claim(request(queues=queues))
        scene.node.resume()
        async with asyncio.timeout(PATIENCE):
            while not (leases := await _claimed(worker, queues)):
                await asyncio.sleep(0.05)
        assert [(lease.queue, lease.attempt, lease.crashes) for lease in leases] == [(scene.away, 1, 0)]

    async def test_stats_have_other_queues(self, scene: Scene, broker: RedisBroker) -> None:
        """The error has the counts of the queues that can be read, if the names of the queues can be read."""
        await self.enqueue_to_all(broker, scene)
        await scene.leave()
        with pytest.raises(BrokerUnavailable) as caught:
            await broker.queue_stats()
        if isinstance(caught.value, PartlyUnavailable):
            assert {stats.queue for stats in caught.value.answer} == set(scene.here)


async def _claimed(broker: RedisBroker, queues: tuple[str, ...]) -> list[Lease]:
    try:
        return (await broker.claim(request(queues=queues))).leases
    except PartlyUnavailable as error:
        leases: list[Lease] = error.answer.leases
        return leases


async def test_no_job_is_lost_or_run_twice(scene: Scene, work: App, caplog: pytest.LogCaptureFixture) -> None:
    """Jobs that run, wait or have ended when the node goes away run once, also if it is away for longer than a lease."""
    work.lasts = 0.2
    ids = await work.enqueue(*scene.queues, count=40)
    async with work.working(lease=1, concurrency=10):
        async with asyncio.timeout(PATIENCE):
            while sum(work.runs.values()) < 30:
                await asyncio.sleep(0.01)
        await scene.leave()
        await work.ran([id for id in ids if scene.away not in id])
        await asyncio.sleep(2)  # two leases
        await scene.come_back()
        await work.ran(ids)
    assert work.runs == Counter(ids)
    stats = await work.app.broker.queue_stats()  # type: ignore[attr-defined]  # a RedisBroker
    assert [(one.pending, one.running, one.dead) for one in stats] == [(0, 0, 0)] * 3


@pytest.mark.parametrize("starts", ["before", "while_away"])
async def test_crons_of_other_queues_fire(scene: Scene, work: App, make: Make, starts: str) -> None:
    """Entries of the fleet and schedules of the other queues fire, also those of a worker that starts meanwhile."""
    ticks: Counter[str] = Counter()
    for queue in scene.queues:

        async def tick(ctx: Any, queue: str = queue) -> None:
            ticks[queue] += 1

        work.app.cron(EACH_SECOND, queue=queue, name=f"cron-{queue}", unique=True)(tick)
        work.app.schedule(work.tasks[queue], EACH_SECOND, name=f"schedule-{queue}")

    async def fire() -> None:
        before, jobs = Counter(ticks), len(work.runs)
        async with asyncio.timeout(PATIENCE):
            while min(ticks[queue] - before[queue] for queue in scene.here) < 3 or len(work.runs) < jobs + 6:
                await asyncio.sleep(0.05)

    if starts == "while_away":
        await scene.leave()
    async with work.working():
        await fire()
        if starts == "before":
            await scene.leave()
            await fire()
        await scene.come_back()
        async with asyncio.timeout(PATIENCE):
            count = ticks[scene.away]
            while ticks[scene.away] < count + 2:
                await asyncio.sleep(0.05)
    assert set(work.runs.values()) == {1}


async def test_doctor_names_node_and_queues_that_are_away(scene: Scene, make: Make) -> None:
    """It checks the other nodes and queues; the findings name the node and, if they can be read, its queues."""
    broker = make(scene.cluster.url_of_all)
    for queue in scene.queues:
        await broker.enqueue([job("a", queue=queue)])
    await scene.leave()
    findings = {finding.subject: finding for finding in await broker.diagnose()}
    lost = findings[f"server 127.0.0.1:{scene.node.port}"]
    assert (lost.level, lost.text.partition(":")[0]) == (Level.FAIL, "cannot be reached, and was not checked")
    for queue in scene.here:
        assert "1 pending" in findings[f"queue {queue}"].text
    if "queues" in findings:
        assert findings["queues"].text == f"cannot be reached, because their server is away: {scene.away}"
    else:
        assert findings["workers"].level is Level.FAIL


async def test_time_is_asked_of_a_node_that_answers(shards: Cluster, make: Make) -> None:
    """A command without a key goes to any node."""
    node = shards.owner_of(0)
    await in_thread(node.kill)
    try:
        assert await make(shards.url_of_all).time() > 0
    finally:
        await in_thread(node.start)
        await in_thread(lambda: wait_until(lambda: shards.serves(node)))


async def test_doctor_warns_of_full_coverage(shards: Cluster, make: Make) -> None:
    """A cluster whose nodes stop together is a warning, unless each of them has a replica."""
    broker = make(shards.open_url)
    assert "cluster" not in {finding.subject for finding in await broker.diagnose()}
    node = shards.nodes[0]
    with node.client() as plain:
        plain.config_set("cluster-require-full-coverage", "yes")
        try:
            (finding,) = [one for one in await broker.diagnose() if one.subject == "cluster"]
        finally:
            plain.config_set("cluster-require-full-coverage", "no")
    assert finding.level is Level.WARN
    assert f"127.0.0.1:{node.port}" in finding.text
