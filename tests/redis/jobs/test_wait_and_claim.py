# pyright: reportPrivateUsage=false
"""Claims that wait: tokens, due times, a claim that lies ready on the server, and all that may go wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import pytest
from msgspec import structs

from aioq import Aarq, Worker
from aioq.errors import BrokerUnavailable
from aioq.model.job import Claim, ClaimRequest, Completed, QueueStats, Released, Retried
from aioq_redis import RedisBroker
from aioq_redis.client import client as broker_client
from aioq_redis.client.connection import connect, pack
from aioq_redis.client.pipeline import Command
from aioq_redis.client.url import Settings
from aioq_redis.storage.keys import sibling_key
from aioq_redis.storage.scripts import load
from tests.redis.job_helpers import claim, job, lease_of, let_pass, request, until, work_of
from tests.redis.proxy import Proxy
from tests.servers import RedisServer

CLAIM = load("claim").sha.encode()

_workers = count()


def blocked(raw: Any) -> int:
    """Return how many clients block on the server."""
    number: int = raw.info("clients")["blocked_clients"]
    return number


@asynccontextmanager
async def waiting(raw: Any, broker: RedisBroker, *queues: str) -> AsyncGenerator[asyncio.Task[Claim]]:
    """Have a worker wait at the server when the block begins, and insist that its claim ends in the end."""
    before, worker = blocked(raw), f"w{next(_workers)}"
    await claim(broker, 1, worker=worker)
    await broker.wait_and_claim(request(queues=queues or ("q",), worker=worker), timeout=0.01)
    task = asyncio.ensure_future(broker.wait_and_claim(request(queues=queues or ("q",), worker=worker), timeout=30))
    await until(lambda: blocked(raw) > before)
    yield task
    async with asyncio.timeout(10):
        await task


def tokens(raw: Any, namespace: str) -> int:
    """Return the number of tokens of queue `q`."""
    length: int = raw.llen(f"{{{namespace}:q}}:wake")
    return length


async def test_wait_and_claim_each_job_wakes_one_worker(make_broker: Callable[..., RedisBroker], raw: Any) -> None:
    """As many workers wake as jobs arrive."""
    brokers = [make_broker() for _ in range(3)]
    async with waiting(raw, brokers[0]) as one, waiting(raw, brokers[1]) as two, waiting(raw, brokers[2]) as three:
        await brokers[0].enqueue([job(id) for id in "abc"])
    claims = [task.result() for task in (one, two, three)]
    assert sorted(lease.job_id for claim in claims for lease in claim.leases) == ["a", "b", "c"]


async def test_claim_wakes_another_worker_while_jobs_are_left(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """A worker that leaves jobs in the queue puts out a token for the next worker, if there is none."""
    one, other = make_broker(), make_broker()
    async with waiting(raw, other):
        await one.enqueue([job("a")])
    await one.enqueue([job("b"), job("c")])
    raw.delete(f"{{{namespace}:q}}:wake")
    await claim(one, 1)
    assert tokens(raw, namespace) == 1


async def test_tokens_are_limited_to_a_hundred(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """There are at most a hundred tokens however many jobs are enqueued; an empty queue has none."""
    for n in range(3):
        await broker.enqueue([job(f"{n}-{m}") for m in range(80)])
    assert tokens(raw, namespace) == 100
    await claim(broker, 1000)
    assert tokens(raw, namespace) == 0


async def test_wait_and_claim_wakes_for_every_pending_job(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A released, a reaped and a retried job wake a worker as a new one does."""
    lease = await lease_of(broker)
    assert tokens(raw, namespace) == 0
    await broker.settle([Released(lease=lease)])
    assert tokens(raw, namespace) == 1
    await claim(broker, lease=0.001)
    await let_pass(broker, 0.01)
    await broker.reap(["q"])
    assert tokens(raw, namespace) == 1
    await broker.cancel_job("a", queue="q")
    assert await claim(broker) == []
    assert tokens(raw, namespace) == 0
    await broker.retry_job("a", queue="q")
    assert tokens(raw, namespace) == 1


@pytest.mark.parametrize("how", ["enqueue", "retry", "release"])
async def test_wait_and_claim_learns_of_an_earlier_job(broker: RedisBroker, raw: Any, how: str) -> None:
    """A worker that waits until the earliest job is due learns of an earlier one; a later one does not wake it."""
    await broker.enqueue([job("far", delay=600.0), job("a")])
    (lease,) = await claim(broker)
    async with waiting(raw, broker) as sleeper:
        await broker.enqueue([job("further", delay=900.0)])
        await broker.time()
        assert not sleeper.done()
        if how == "enqueue":
            await broker.enqueue([job("near", delay=300.0)])
        elif how == "retry":
            await broker.settle([Retried(lease=lease, delay=300)])
        else:
            await broker.settle([Released(lease=lease, delay=300)])


async def test_wait_and_claim_wakes_when_a_job_is_due(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A worker wakes at once when a job is due, although no client puts out a token then."""
    await broker.enqueue([job("soon", delay=0.3)])
    due = await broker.time() + 0.3
    raw.delete(f"{{{namespace}:q}}:wake")
    assert await work_of(broker) == ["soon"]
    # A worker that slept for its poll interval would be a second late.
    assert await broker.time() - due < 0.9


async def test_wait_and_claim_until_next_due_is_not_late(broker: RedisBroker) -> None:
    """A worker that waits for as long as its claim said is not late."""
    await broker.enqueue([job("soon", delay=0.3)])
    claimed = await broker.claim(request())
    due = await broker.time() + 0.3
    async with asyncio.timeout(10):
        while not claimed.leases:
            assert claimed.next_due is not None
            claimed = await broker.wait_and_claim(request(), timeout=claimed.next_due)
    # A worker that slept for its poll interval would be a second late.
    assert await broker.time() - due < 0.9


async def test_wait_and_claim_lost_token_loses_no_job(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A wait without a token ends with a claim."""
    await broker.claim(request())
    await broker.enqueue([job("a")])
    raw.delete(f"{{{namespace}:q}}:wake")
    assert await work_of(broker, timeout=0.1) == ["a"]


async def test_wait_and_claim_sees_a_job_enqueued_before_it(make_broker: Callable[..., RedisBroker], raw: Any) -> None:
    """A worker that is about to wait learns of an earlier job, also if another worker claims in between."""
    one, other = make_broker(), make_broker()
    await one.enqueue([job("far", delay=600.0)])
    assert await work_of(one, timeout=0.05) == []
    await one.enqueue([job("near", delay=300.0)])
    await claim(other, worker="w2")
    claimed = await one.wait_and_claim(request(), timeout=20)
    assert claimed.next_due == pytest.approx(300, abs=20)


async def test_wait_and_claim_cancelled_closes_its_connection(broker: RedisBroker, raw: Any) -> None:
    """A late reply cannot get to the next wait, and no connection is left open."""
    for n in range(5):
        await claim(broker)
        wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30))
        await until(lambda: blocked(raw))
        wait.cancel()
        await asyncio.wait([wait])
        assert wait.cancelled()
        # Until the server has noticed the end of the connection, a token could still go to it.
        await until(lambda: not blocked(raw))
        await broker.enqueue([job(str(n))])
        assert await work_of(broker) == [str(n)]


async def test_wait_and_claim_reuses_its_connection(proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> None:
    """A wait that ended without an error leaves its connection to the next."""
    broker = make_broker(proxy.url)
    for _ in range(5):
        assert await work_of(broker, timeout=0.01) == []
    assert proxy.connections == 2


async def test_wait_and_claim_replaces_a_killed_connection(broker: RedisBroker, raw: Any) -> None:
    """A killed connection is replaced, and the worker is woken."""
    await claim(broker)
    wait = asyncio.ensure_future(work_of(broker))
    await until(lambda: blocked(raw))
    raw.client_kill_filter(_type="normal", skipme=True)
    await until(lambda: blocked(raw))
    await broker.enqueue([job("a")])
    async with asyncio.timeout(10):
        assert await wait == ["a"]


async def test_wait_and_claim_ends_when_the_server_dies(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A worker notices that the server is gone."""
    server = start_server()
    broker = make_broker(server.url, timeout=2)
    await claim(broker)
    wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30))
    with server.client() as client:
        await until(lambda: blocked(client))
    server.kill()
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(10):
            await wait


async def test_wait_and_claim_idle_worker_sends_nothing_more(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any
) -> None:
    """An idle worker sends nothing between the wait and the lease: its claim is parked on the server."""
    raw.script_load(load("claim").text)
    broker, client = make_broker(proxy.url), make_broker()
    await claim(broker)
    wait = asyncio.ensure_future(work_of(broker))
    await until(lambda: blocked(raw))
    said = proxy.commands
    await client.enqueue([job("a")])
    assert await wait == ["a"]
    assert proxy.commands == said


async def test_wait_and_claim_busy_worker_parks_no_claim(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any
) -> None:
    """A task may block the event loop of a busy worker, so it claims when it wakes; once idle it parks a claim."""
    raw.script_load(load("claim").text)
    broker, client, idle = make_broker(proxy.url), make_broker(), anyio.Event()
    for n in range(2):
        await claim(broker)
        claims = proxy.commands.count(CLAIM)
        wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30, idle=idle))
        await until(lambda: blocked(raw))
        assert proxy.commands.count(CLAIM) == claims + n
        await client.enqueue([job(str(n))])
        assert [lease.job_id for lease in (await wait).leases] == [str(n)]
        idle.set()


async def test_wait_and_claim_parks_when_the_worker_is_idle(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any
) -> None:
    """A worker that becomes idle parks its claim behind the wait that is under way."""
    raw.script_load(load("claim").text)
    broker, client, idle = make_broker(proxy.url), make_broker(), anyio.Event()
    await claim(broker)
    wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30, idle=idle))
    await until(lambda: blocked(raw))
    idle.set()
    await until(lambda: proxy.commands.count(CLAIM) == 2)
    said = proxy.commands
    await client.enqueue([job("a")])
    assert [lease.job_id for lease in (await wait).leases] == ["a"]
    assert proxy.commands == said


async def test_wait_and_claim_claims_from_the_woken_queue(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any
) -> None:
    """A worker of several queues claims from the one whose token came, and from no other."""
    raw.script_load(load("claim").text)
    broker, client = make_broker(proxy.url), make_broker()
    await broker.claim(request(queues=("q", "r", "s")))
    wait = asyncio.ensure_future(work_of(broker, "q", "r", "s"))
    await until(lambda: blocked(raw))
    claims = proxy.commands.count(CLAIM)
    await client.enqueue([job("a", queue="r")])
    assert await wait == ["a"]
    assert proxy.commands.count(CLAIM) == claims + 1


async def test_wait_and_claim_lost_answer_keeps_to_the_limit(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any
) -> None:
    """If the answer of one queue is lost, the worker takes no more jobs than it has room for from the others."""
    raw.script_load(load("claim").text)
    broker, client, queues = make_broker(proxy.url), make_broker(), ("q", "r")
    await broker.claim(request(queues=queues))
    wait = asyncio.ensure_future(broker.wait_and_claim(request(1, queues=queues), timeout=30))
    await until(lambda: blocked(raw))
    proxy.drop_reply_to(CLAIM)
    await client.enqueue([job("a", queue="r")])
    await client.enqueue([job("b", queue="q")])
    assert [lease.job_id for lease in (await wait).leases] == ["a"]
    assert await work_of(broker, *queues) == ["b"]


async def test_wait_and_claim_waits_for_due_jobs_of_all_queues(broker: RedisBroker) -> None:
    """A worker wakes for a delayed job of one queue after a claim that concerned another only."""
    queues = ("q", "r")
    # A server looks for waits that are over ten times a second, or as often as its `hz` says.
    await broker.enqueue([job("late", queue="q", delay=1.0)])
    due = await broker.time() + 1.0
    assert await work_of(broker, *queues, timeout=0.05) == []
    wait = asyncio.ensure_future(work_of(broker, *queues))
    await broker.enqueue([job("a", queue="r")])
    assert await wait == ["a"]
    assert await work_of(broker, *queues) == ["late"]
    # A worker that slept for its poll interval would be a second late.
    assert await broker.time() - due < 0.9


async def test_parked_claim_left_behind_takes_nothing(
    broker: RedisBroker, make_broker: Callable[..., RedisBroker], raw: Any, redis_url: str
) -> None:
    """The server runs a parked claim although its client has noticed the end of the connection.

    It takes no job for a worker that has gone on, and hands on the token that it was woken by.
    """
    first = request()
    await broker.claim(first)
    lost = parked_claim(broker, request(), before=first)
    left = await behind(raw, redis_url, lost)
    await broker.claim(request())
    wait = asyncio.ensure_future(work_of(make_broker(), worker="w2"))
    await until(lambda: blocked(raw) == 2)
    await broker.enqueue([job("a")])
    async with asyncio.timeout(5):
        assert await wait == ["a"]
        _, (taken, *_) = await left
    assert taken == -1


async def test_parked_claim_given_up_takes_nothing_later(
    broker: RedisBroker, make_broker: Callable[..., RedisBroker], raw: Any, redis_url: str
) -> None:
    """After a worker has asked what a request took, the request takes no more, even if the server runs it later."""
    first, second = request(), request()
    await broker.claim(first)
    left = await behind(raw, redis_url, parked_claim(broker, second, before=first))
    assert (await broker.claim(structs.replace(second, limit=0))).leases == []
    wait = asyncio.ensure_future(work_of(make_broker(), worker="w2"))
    await until(lambda: blocked(raw) == 2)
    await broker.enqueue([job("a")])
    async with asyncio.timeout(5):
        assert await wait == ["a"]
        _, (taken, *_) = await left
    assert taken == 0


async def behind(raw: Any, url: str, command: Command) -> asyncio.Future[list[Any]]:
    """Have a command lie ready behind a wait, on a connection that stays open; return what its replies will be."""
    raw.script_load(load("claim").text)
    connection = await connect(Settings.from_url(url))
    before = blocked(raw)
    wake = sibling_key(command.key, "wake")
    ask = connection.request(pack(("BLPOP", wake, "20")) + command.packed(), 2, wait=20)
    left = asyncio.ensure_future(ask)
    await until(lambda: blocked(raw) > before)
    left.add_done_callback(lambda _: asyncio.ensure_future(connection.close()))
    return left


async def test_wait_and_claim_paused_server_loses_no_lease(
    start_server: Callable[..., RedisServer],
    make_broker: Callable[..., RedisBroker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker asks what a wait took that it gave up, and so learns of jobs that the server leased when it woke."""
    monkeypatch.setattr(broker_client, "silence_limit", lambda timeout: 0.1)
    server = start_server()
    broker, client = make_broker(server.url), make_broker(server.url)
    await claim(broker)
    wait = asyncio.ensure_future(work_of(broker, timeout=0.2))
    with server.client() as connection:
        await until(lambda: blocked(connection))
        server.pause()
        added = asyncio.ensure_future(client.enqueue([job("a")]))
        await asyncio.sleep(0.6)
        server.resume()
    async with asyncio.timeout(10):
        await added
        assert await wait == ["a"] or await work_of(broker) == ["a"]
    record = await client.get_job("a", queue="q")
    assert record is not None
    assert (record.attempt, record.crashes) == (1, 0)


class TestStopping:
    """A worker that is stopped while its claim lies ready leaves nothing behind."""

    async def test_job_enqueued_as_the_worker_stops_is_not_lost(
        self, make_broker: Callable[..., RedisBroker], raw: Any
    ) -> None:
        """The job ends in this worker or is free at once for others, and no attempt or crash is counted."""
        for steps in range(0, 24, 2):
            app, client = Aarq(make_broker()), make_broker()

            @app.task(name="tasks.work")
            async def work(_: object) -> None: ...

            worker = Worker(app, queues=["q"], handle_signals=False)
            running = asyncio.ensure_future(worker.run())
            await until(lambda: blocked(raw))
            await client.enqueue([job(str(steps))])
            for _ in range(steps):
                await asyncio.sleep(0)
            worker.stop()
            async with asyncio.timeout(5):
                await running
            left = await claim(client, worker="w2")
            assert [(lease.job_id, lease.attempt, lease.crashes) for lease in left] in ([], [(str(steps), 1, 0)])
            assert await client.queue_stats() == [
                QueueStats(queue="q", pending=0, scheduled=0, running=len(left), dead=0, expired=0)
            ]
            await client.settle([Completed(lease=lease) for lease in left])
            await until(lambda: not blocked(raw))

    @pytest.mark.parametrize("how", ["stop", "cancel"])
    async def test_lease_under_way_as_the_worker_stops_is_released(
        self, proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any, how: str
    ) -> None:
        """The server has leased a job, and the worker does not know it yet."""
        app, client = Aarq(make_broker(proxy.url)), make_broker()
        worker = Worker(app, queues=["q"], handle_signals=False)
        running = asyncio.ensure_future(worker.run())
        await until(lambda: blocked(raw))
        proxy.delay = 0.1
        await client.enqueue([job("a")])
        await until(lambda: raw.hlen(runs_of(client)))
        worker.stop() if how == "stop" else running.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([running])
        (lease,) = await claim(client, worker="w2")
        assert (lease.attempt, lease.crashes) == (1, 0)

    async def test_stop_does_not_wait_for_the_wait(self, make_broker: Callable[..., RedisBroker], raw: Any) -> None:
        """A worker that stops does not wait until its claim times out."""
        worker = Worker(Aarq(make_broker()), queues=["q"], poll=3600, handle_signals=False)
        running = asyncio.ensure_future(worker.run())
        await until(lambda: blocked(raw))
        worker.stop()
        await running


def parked_claim(broker: RedisBroker, claim: ClaimRequest, *, before: ClaimRequest) -> Command:
    """Return the claim of queue `q` that a worker parks on the server after the answer to the request `before`."""
    return broker._parked_claim(claim, broker._claims_of(claim), "q", before.request_id)


def runs_of(broker: RedisBroker) -> str:
    """Return the name of the key with what has happened to jobs of queue `q`."""
    return broker._layout.queue("q").key("runs")


async def test_wait_and_claim_takes_a_suspect_alone(make_broker: Callable[..., RedisBroker], raw: Any) -> None:
    """A waiting worker, also one that was busy when it began to wait, makes room for a suspect and runs it alone."""
    broker, client = make_broker(), make_broker()
    await client.enqueue([job("a", max_crashes=9)])
    for crash in range(2):
        await claim(client, lease=0.001, worker="gone")
        await let_pass(client, 0.005)
        if not crash:
            await client.reap(["q"])
    assert await claim(broker) == []
    busy = structs.replace(request(), running=1)
    wait = asyncio.ensure_future(broker.wait_and_claim(busy, timeout=30))
    await until(lambda: blocked(raw))
    await client.reap(["q"])
    claimed = await wait
    assert (claimed.leases, claimed.alone_for) == ([], 20)
    assert [lease.crashes for lease in (await broker.claim(request())).leases] == [2]
