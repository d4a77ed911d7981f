"""Waking workers and clients: tokens, due times, messages, and what happens when they get lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioq.errors import BrokerUnavailable
from aioq.job import Completed, Released, Retried
from aioq_redis import RedisBroker
from tests.redis.jobs import claim, job, lease_of, let_pass, request, until
from tests.redis.proxy import Proxy
from tests.servers import RedisServer


def blocked(raw: Any) -> int:
    """Return how many clients block on the server."""
    number: int = raw.info("clients")["blocked_clients"]
    return number


@asynccontextmanager
async def waiting(raw: Any, broker: RedisBroker, *queues: str) -> AsyncGenerator[asyncio.Task[bool]]:
    """Have a worker block on the server when the block begins, and insist that it is woken in the end."""
    before = blocked(raw)
    task = asyncio.ensure_future(broker.wait_for_work(queues or ("q",), timeout=30))
    await until(lambda: blocked(raw) > before)
    yield task
    async with asyncio.timeout(10):
        assert await task is True


def tokens(raw: Any, namespace: str) -> int:
    """Return the number of tokens of queue `q`."""
    length: int = raw.llen(f"{{{namespace}:q}}:wake")
    return length


def awaited(raw: Any, namespace: str) -> int:
    """Return the number of jobs of queue `q` whose end somebody waits for."""
    number: int = raw.zcard(f"{{{namespace}:q}}:waits")
    return number


async def test_every_waiting_worker_is_woken_by_a_job_of_its_own(
    make_broker: Callable[..., RedisBroker], raw: Any
) -> None:
    """As many workers wake as jobs arrive."""
    brokers = [make_broker() for _ in range(3)]
    async with waiting(raw, brokers[0]), waiting(raw, brokers[1]), waiting(raw, brokers[2]):
        await brokers[0].enqueue([job(id) for id in "abc"])


async def test_workers_wake_each_other_while_jobs_are_left(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """A worker that leaves jobs in line lays out a token for the next one, if none is there."""
    one, other = make_broker(), make_broker()
    async with waiting(raw, other):
        await one.enqueue([job("a")])
    await one.enqueue([job("b"), job("c")])
    raw.delete(f"{{{namespace}:q}}:wake")
    await claim(one, 1)
    assert tokens(raw, namespace) == 1


async def test_there_are_never_many_tokens(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """However many jobs are enqueued, a hundred tokens are enough; an empty queue has none."""
    for n in range(3):
        await broker.enqueue([job(f"{n}-{m}") for m in range(80)])
    assert tokens(raw, namespace) == 100
    await claim(broker, 1000)
    assert tokens(raw, namespace) == 0


async def test_tokens_come_with_every_way_to_become_pending(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A released, a reaped and a retried job wake a worker like a new one."""
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
async def test_a_nearer_moment_wakes_a_worker(broker: RedisBroker, raw: Any, how: str) -> None:
    """Who sleeps until the earliest job learns of an earlier one; a later one leaves it asleep."""
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


async def test_a_worker_wakes_when_a_job_comes_due(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """Although nobody says so at that moment, it wakes at once."""
    await broker.enqueue([job("soon", delay=0.3)])
    due = await broker.time() + 0.3
    raw.delete(f"{{{namespace}:q}}:wake")
    async with waiting(raw, broker):
        pass
    assert len(await claim(broker)) == 1
    assert await broker.time() - due < 1


async def test_a_wait_until_a_job_is_due_ends_then(broker: RedisBroker) -> None:
    """A worker that waits for just as long as its claim said is not late."""
    await broker.enqueue([job("soon", delay=0.3)])
    claimed = await broker.claim(request())
    due = await broker.time() + 0.3
    assert claimed.next_due is not None
    async with asyncio.timeout(10):
        while not await broker.wait_for_work(["q"], timeout=claimed.next_due):
            pass
    assert await broker.time() - due < 1
    assert len(await claim(broker)) == 1


async def test_a_lost_token_is_no_lost_job(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """What counts is the line: a worker does not sleep while a job is in it."""
    await broker.enqueue([job("a")])
    raw.delete(f"{{{namespace}:q}}:wake")
    assert await broker.wait_for_work(["q"], timeout=30) is True


async def test_a_cancelled_wait_closes_its_connection(broker: RedisBroker, raw: Any) -> None:
    """No reply that comes late can get to the next wait, and no connection is left behind."""
    for n in range(5):
        wait = asyncio.ensure_future(broker.wait_for_work(["q"], timeout=30))
        await until(lambda: blocked(raw))
        wait.cancel()
        await asyncio.wait([wait])
        assert wait.cancelled()
        await broker.enqueue([job(str(n))])
        assert await broker.wait_for_work(["q"], timeout=30) is True
        await claim(broker)
        await until(lambda: not blocked(raw))


async def test_waits_follow_each_other_on_one_connection(proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> None:
    """A wait that ended in good order leaves its connection to the next."""
    broker = make_broker(proxy.url)
    for _ in range(5):
        await broker.wait_for_work(["q"], timeout=0.01)
    assert proxy.connections == 2


async def test_a_wait_survives_its_connection(broker: RedisBroker, raw: Any) -> None:
    """A killed connection is replaced, and the worker still woken."""
    async with waiting(raw, broker):
        raw.client_kill_filter(_type="normal", skipme=True)
        await broker.enqueue([job("a")])


async def test_a_wait_ends_when_the_server_does(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A worker hears that the server is gone, instead of sleeping on."""
    server = start_server()
    broker = make_broker(server.url, timeout=0.3)
    wait = asyncio.ensure_future(broker.wait_for_work(["q"], timeout=30))
    with server.client() as client:
        await until(lambda: blocked(client))
    server.kill()
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(10):
            await wait


async def test_many_wait_for_results_on_one_connection(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """Each is told of its own job, and the server keeps no list of those who were told."""
    broker = make_broker(proxy.url)
    await broker.enqueue([job(str(n)) for n in range(50)])
    leases = await claim(broker, 50)
    waits = [asyncio.ensure_future(broker.wait_for_result(str(n), queue="q", timeout=30)) for n in range(50)]
    await until(lambda: awaited(raw, namespace) == 50)
    await broker.settle([Completed(lease=lease) for lease in leases])
    async with asyncio.timeout(10):
        assert await asyncio.gather(*waits) == [True] * 50
    assert (proxy.connections, awaited(raw, namespace)) == (2, 0)


async def test_a_message_that_was_missed_is_made_up_for(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """After a lost connection a client looks whether the job has ended in between."""
    lease = await lease_of(broker)
    wait = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=30))
    await until(lambda: awaited(raw, namespace))
    raw.client_kill_filter(_type="pubsub")
    await broker.settle([Completed(lease=lease)])
    async with asyncio.timeout(10):
        assert await wait is True


async def test_what_happens_before_listening_again_is_made_up_for(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], broker: RedisBroker, raw: Any, namespace: str
) -> None:
    """A client that looked in vain while it could not listen looks again when it can."""
    lease = await lease_of(broker)
    wait = asyncio.ensure_future(make_broker(proxy.url).wait_for_result("a", queue="q", timeout=30))
    await until(lambda: awaited(raw, namespace))
    proxy.delay = 0.3
    raw.delete(f"{{{namespace}:q}}:waits")
    raw.client_kill_filter(_type="pubsub")
    await until(lambda: awaited(raw, namespace))
    await broker.settle([Completed(lease=lease)])
    async with asyncio.timeout(10):
        assert await wait is True


async def test_two_may_wait_for_one_job_and_one_may_leave(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """Leaving a channel does not take it away from others who listen to it."""
    lease = await lease_of(broker)
    first, second = (asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=30)) for _ in range(2))
    await until(lambda: awaited(raw, namespace))
    first.cancel()
    await asyncio.wait([first])
    third = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=30))
    await broker.settle([Completed(lease=lease)])
    async with asyncio.timeout(10):
        assert [await second, await third] == [True, True]


async def test_listening_again_at_once_hears_everything(broker: RedisBroker) -> None:
    """Leaving and joining a channel in quick succession misses no message."""
    for n in range(30):
        lease = await lease_of(broker, str(n))
        early = asyncio.ensure_future(broker.wait_for_result(str(n), queue="q", timeout=30))
        for _ in range(n % 7):
            await asyncio.sleep(0)
        early.cancel()
        late = asyncio.ensure_future(broker.wait_for_result(str(n), queue="q", timeout=30))
        await broker.settle([Completed(lease=lease)])
        async with asyncio.timeout(5):
            assert await late is True


async def test_aborts_go_on_after_a_lost_connection(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A worker hears of later cancellations, whatever became of the connection."""
    await broker.enqueue([job("a")])
    await claim(broker, worker="w1")
    aborts = broker.aborts("w1")
    heard = asyncio.ensure_future(anext(aborts))

    def listening() -> int:
        number: int = raw.pubsub_numsub(f"{{{namespace}}}:abort:w1")[0][1]
        return number

    await until(listening)
    raw.client_kill_filter(_type="pubsub")
    await until(lambda: not listening())
    await until(listening)
    await broker.cancel_job("a", queue="q")
    async with asyncio.timeout(10):
        assert await heard == "a"
    assert isinstance(aborts, AsyncGenerator)
    await aborts.aclose()
