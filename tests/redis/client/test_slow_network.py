"""A slow network: bytes that arrive or leave are a sign of life, and only silence ends a call or a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aioq.errors import NotReplicated
from aioq.model.job import Completed, Settled
from aioq.model.states import JobState
from aioq_redis import RedisBroker
from tests import servers
from tests.access import REPLICAS
from tests.redis.job_helpers import claim, job, let_pass, request
from tests.redis.proxy import Proxy
from tests.servers import RedisServer

TIMEOUT = 1.5
"""Seconds; a transfer of `LARGE` takes twice as long, and a small answer is not late on a busy machine."""

RATE = 1_000_000
LARGE = 3_000_000


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do: the network is slow, not the server."""
    return servers.first()


@pytest.fixture
async def slow(redis_url: str) -> AsyncIterator[Proxy]:
    """A proxy that passes on `RATE` bytes a second in each direction."""
    async with Proxy(redis_url, rate=RATE) as proxy:
        yield proxy


@pytest.fixture
async def behind(slow: Proxy, make_broker: Callable[..., RedisBroker]) -> RedisBroker:
    """A connected broker behind the slow network, with a timeout that no large transfer keeps."""
    broker = make_broker(slow.url, timeout=TIMEOUT)
    await broker.connect()
    return broker


async def test_enqueue_that_leaves_slowly_succeeds(behind: RedisBroker, slow: Proxy, broker: RedisBroker) -> None:
    """An enqueue goes on as long as its bytes leave, on one connection."""
    assert await behind.enqueue([job("a", payload=b"x" * LARGE)]) == [True]
    assert slow.connections == 1
    assert [lease.job_id for lease in await claim(broker)] == ["a"]


@pytest.mark.parametrize("jobs", [1, 3])
async def test_large_call_of_an_unknown_script_is_sent_once(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any, jobs: int
) -> None:
    """A large call has the text of its script, so that a server which does not know the script need not ask for it."""
    behind = make_broker(proxy.url)
    await behind.connect()
    raw.script_flush()
    await behind.enqueue([job(f"{n}", payload=b"x" * 100_000) for n in range(jobs)])
    (lease, *_) = await claim(behind)
    raw.script_flush()
    assert await behind.settle([Completed(lease=lease, result=b"y" * 100_000, retain_for=60)]) == [Settled.DONE]
    assert proxy.commands.count(b"x" * 100_000) == jobs
    assert proxy.commands.count(b"y" * 100_000) == 1


async def test_claim_that_arrives_slowly_succeeds(behind: RedisBroker, slow: Proxy, broker: RedisBroker) -> None:
    """A claim goes on as long as bytes of its reply arrive, and the reply comes once."""
    await broker.enqueue([job("a", payload=b"x" * LARGE)])
    assert [len(lease.payload) for lease in await claim(behind)] == [LARGE]
    assert slow.connections == 1
    assert slow.bytes_down < 1.5 * LARGE


async def test_wait_that_is_answered_slowly_returns_the_leases(
    behind: RedisBroker, slow: Proxy, broker: RedisBroker
) -> None:
    """The claim behind a wait goes on as long as bytes of its reply arrive."""
    await claim(behind)
    wait = asyncio.ensure_future(behind.wait_and_claim(request(), timeout=10))
    await broker.enqueue([job("a", payload=b"x" * LARGE)])
    assert [len(lease.payload) for lease in (await wait).leases] == [LARGE]
    assert slow.bytes_down < 1.5 * LARGE


async def test_settlement_that_leaves_slowly_is_done(behind: RedisBroker, slow: Proxy, broker: RedisBroker) -> None:
    """A large result is stored by one settlement."""
    await broker.enqueue([job("a")])
    (lease,) = await claim(behind)
    assert await behind.settle([Completed(lease=lease, result=b"x" * LARGE, retain_for=60)]) == [Settled.DONE]
    assert slow.connections == 1


async def test_calls_behind_a_slow_reply_succeed(behind: RedisBroker, broker: RedisBroker) -> None:
    """Small calls that share the connection wait until the large reply has arrived."""
    await broker.enqueue([job("a", payload=b"x" * LARGE)])
    asked = request()
    large = asyncio.ensure_future(behind.claim(asked))
    await asyncio.sleep(0)
    claimed, found, stored = await asyncio.gather(large, behind.get_job("a", queue="q"), behind.enqueue([job("b")]))
    assert [len(lease.payload) for lease in claimed.leases] == [LARGE]
    assert (found and found.state, stored) == (JobState.RUNNING, [True])


async def test_enqueue_with_copies_that_leaves_slowly_succeeds(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A connection that waits for replicas sends a large command in one try, too."""
    async with Proxy(start_server(rights=REPLICAS).url, rate=RATE) as proxy:
        broker = make_broker(proxy.url, timeout=TIMEOUT, durability="replica:1")
        with pytest.raises(NotReplicated):
            await broker.enqueue([job("a", payload=b"x" * LARGE)])
        assert await broker.get_job("a", queue="q") is not None
        # One for commands, and one that waits for replicas.
        assert proxy.connections == 2
        await broker.close()


async def test_claims_stop_at_a_mebibyte(broker: RedisBroker) -> None:
    """A claim takes no further job once its reply has 1 MiB, so each claim takes two of these; none changes place."""
    size = 700_000
    await broker.enqueue([job(f"{n}", payload=b"x" * size) for n in range(5)])
    claims = [[lease.job_id for lease in await claim(broker)] for _ in range(4)]
    assert claims == [["0", "1"], ["2", "3"], ["4"], []]


async def test_claims_of_small_and_large_jobs_keep_the_order(broker: RedisBroker) -> None:
    """The jobs that did not fit go back to the front of their lists, by priority."""
    large = b"x" * 600_000
    jobs = [job(f"{n:02}", priority=9 if n < 30 else 5, payload=large if n % 3 == 0 else b"x") for n in range(60)]
    await broker.enqueue(jobs)
    claimed: list[str] = []
    while leases := await claim(broker, 100):
        assert sum(len(lease.payload) for lease in leases) < 1_048_576 + len(large)
        claimed += [lease.job_id for lease in leases]
    assert claimed == [f"{n:02}" for n in range(60)]


async def test_claim_that_stopped_early_wakes_the_next(broker: RedisBroker) -> None:
    """The jobs that did not fit are taken by the next wait at once."""
    await broker.enqueue([job(f"{n}", payload=b"x" * 1_100_000) for n in range(2)])
    assert [lease.job_id for lease in await claim(broker)] == ["0"]
    async with asyncio.timeout(10):
        claimed = await broker.wait_and_claim(request(), timeout=30)
    assert [lease.job_id for lease in claimed.leases] == ["1"]


async def test_lease_of_a_large_reply_is_longer(broker: RedisBroker) -> None:
    """A job is not reaped while its megabytes are on their way: 256 kB are given a second."""
    await broker.enqueue([job("a", payload=b"x" * LARGE), job("b", queue="other")])
    asked = request(lease=0.001, queues=("q", "other"))
    assert [lease.job_id for lease in (await broker.claim(asked)).leases] == ["a", "b"]
    await let_pass(broker, 0.01)
    assert [reaped.job_id for reaped in await broker.reap(["q", "other"])] == ["b"]


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_claim_from_many_queues_takes_few_round_trips(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], limit: int
) -> None:
    """The commands of a round trip arrive in a few pieces, so there are far fewer pieces than queues."""
    behind = make_broker(proxy.url)
    await behind.enqueue([job("a", queue="q70"), job("b", queue="q90"), job("c", queue="q110")])
    before = proxy.pieces
    claimed = await behind.claim(request(limit, queues=tuple(f"q{n}" for n in range(120))))
    assert [lease.job_id for lease in claimed.leases] == ["a", "b", "c"][:limit]
    assert proxy.pieces - before < 30


async def test_claim_from_many_queues_prefers_the_first(broker: RedisBroker) -> None:
    """A worker gets the jobs of its queues in their order, and never more than it asked for."""
    queues = ("a", "b", "c", "d")
    await broker.enqueue([job(f"{queue}{n}", queue=queue) for queue in reversed(queues) for n in range(3)])
    found = [[lease.job_id for lease in (await broker.claim(request(5, queues=queues))).leases] for _ in range(4)]
    assert found == [["a0", "a1", "a2", "b0", "b1"], ["b2", "c0", "c1", "c2", "d0"], ["d1", "d2"], []]


async def test_claim_from_many_queues_repeated_takes_nothing_new(broker: RedisBroker) -> None:
    """A repeated request returns its leases, and leaves jobs that have come since."""
    queues = ("a", "b", "c", "d")
    await broker.enqueue([job("b0", queue="b"), job("d0", queue="d")])
    asked = request(3, queues=queues)
    first = await broker.claim(asked)
    await broker.enqueue([job("c0", queue="c"), job("b1", queue="b")])
    assert (await broker.claim(asked)).leases == first.leases
    assert [lease.job_id for lease in (await broker.claim(request(3, queues=queues))).leases] == ["b1", "c0"]


async def test_claim_from_many_queues_gives_a_suspect_alone(broker: RedisBroker) -> None:
    """An empty worker gets a suspect and nothing beside it, also if two of the later queues have one."""
    queues = ("a", "b", "c", "d")
    await broker.enqueue([job(queue, queue=queue, max_crashes=9) for queue in "bcd"])
    for _ in range(2):
        await broker.claim(request(queues=("b", "c"), lease=0.001))
        await let_pass(broker, 0.01)
        await broker.reap(["b", "c"])
    found = [await broker.claim(request(queues=queues, worker=f"w{n}")) for n in range(2, 6)]
    assert [([lease.job_id for lease in claim.leases], claim.alone_for > 0) for claim in found] == [
        (["b"], True), (["c"], True), (["d"], False), ([], False),
    ]  # fmt: skip
