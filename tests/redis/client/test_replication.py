"""Enqueue calls that return after replicas have the jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aioq.errors import BrokerFull, BrokerUnavailable, NotReplicated
from aioq_redis import RedisBroker
from aioq_redis.client import client as server
from tests.redis.job_helpers import claim, job, until
from tests.redis.pair import Pair

Make = Callable[..., RedisBroker]


@pytest.fixture
def safe(pair: Pair, make_broker: Make) -> Iterator[RedisBroker]:
    """A broker that waits for a replica."""
    yield make_broker(pair.primary.url, durability="replica:1", timeout=1.0)
    pair.replica.resume()


async def test_enqueue_returns_after_replica_has_job(pair: Pair, safe: RedisBroker, namespace: str) -> None:
    """The replica has the job when `enqueue` returns."""
    assert await safe.enqueue([job("a"), job("b")]) == [True, True]
    with pair.replica.client() as connection:
        client: Any = connection
        assert client.hkeys(f"{{{namespace}:q}}:jobs") == [b"a", b"b"]


async def test_late_replica_raises_not_replicated(pair: Pair, safe: RedisBroker) -> None:
    """The jobs are stored and run; the error says that, what may happen, and what to do."""
    await safe.enqueue([job("a")])
    pair.replica.pause()
    with pytest.raises(NotReplicated) as caught:
        await safe.enqueue([job("b")])
    assert (caught.value.wanted, caught.value.copies) == (1, 0)
    assert str(caught.value) == (
        f"the jobs are stored on the primary of {_shown(pair.primary.url)}/0 and will run, but 0 of 1 replicas confirmed "
        f"them within 0.5 s, so a failover may lose them; check that the replicas are up, and repeat the call, which "
        f"stores nothing twice"
    )
    assert [lease.job_id for lease in await claim(safe)] == ["a", "b"]


def _shown(url: str) -> str:
    return re.sub(":[^:]*@", ":***@", url)


async def test_repeated_enqueue_waits_for_replica_again(pair: Pair, safe: RedisBroker, make_broker: Make) -> None:
    """A repeated call stores nothing, and still waits until a replica has the jobs, also on a new connection.

    The first caller gets the first answer again; to another client the job is known.
    """
    pair.replica.pause()
    other = make_broker(pair.primary.url, durability="replica:1", timeout=1.0)
    for broker in (safe, safe, other):
        with pytest.raises(NotReplicated):
            await broker.enqueue([job("a")])
    pair.replica.resume()
    pair.catch_up()
    assert await safe.enqueue([job("a")]) == [True]
    assert await other.enqueue([job("a")]) == [False]


async def test_wait_for_replica_blocks_no_other_call(pair: Pair, safe: RedisBroker) -> None:
    """Other calls of the same broker are answered meanwhile."""
    await safe.connect()
    pair.replica.pause()
    call = asyncio.ensure_future(safe.enqueue([job("a")]))
    with pair.primary.client() as connection:
        client: Any = connection
        await until(lambda: client.info("clients")["blocked_clients"])
    assert len(await claim(safe)) == 1
    assert not call.done()
    with pytest.raises(NotReplicated):
        await call


async def test_more_enqueues_than_connections_are_confirmed(safe: RedisBroker) -> None:
    """Enqueue calls wait for one of the connections to replicas, and all return."""
    made = [asyncio.ensure_future(safe.enqueue([job(f"job-{n}", queue=f"q{n % 20}")])) for n in range(100)]
    assert await asyncio.gather(*made) == [[True]] * 100


async def test_flushed_script_is_sent_again(pair: Pair, safe: RedisBroker) -> None:
    """The caller does not notice SCRIPT FLUSH."""
    await safe.enqueue([job("a")])
    with pair.primary.client() as connection:
        client: Any = connection
        client.script_flush()
    assert await safe.enqueue([job("b")]) == [True]


async def test_full_server_raises_broker_full(pair: Pair, safe: RedisBroker) -> None:
    """The error is the same as without durability."""
    with pair.primary.client() as connection:
        client: Any = connection
        client.config_set("maxmemory", "1")
    with pytest.raises(BrokerFull):
        await safe.enqueue([job("a")])


async def test_client_kill_loses_no_reply(pair: Pair, safe: RedisBroker) -> None:
    """A call whose connection is killed is repeated."""
    with pair.primary.client() as connection:
        client: Any = connection
        for n in range(10):
            client.client_kill_filter(_type="normal", skipme=True)
            assert await safe.enqueue([job(f"job-{n}")]) == [True]


async def test_broken_idle_connections_cost_one_attempt(
    pair: Pair, safe: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All broken idle connections are dropped at once; one attempt for each would exceed the timeout."""
    pauses: list[int] = []

    def pause_before(tries: int) -> float:
        pauses.append(tries)
        return 0.02

    monkeypatch.setattr(server, "full_jitter", pause_before)
    await asyncio.gather(*(safe.enqueue([job("a", queue=f"q{n}")]) for n in range(16)))
    with pair.primary.client() as connection:
        client: Any = connection
        client.client_kill_filter(_type="normal", skipme=True)
    assert await safe.enqueue([job("b")]) == [True]
    assert len(pauses) <= 1


async def test_close_fails_call_waiting_for_replica(pair: Pair, safe: RedisBroker) -> None:
    """A call that waits for a replica raises `BrokerUnavailable`, and no task is left."""
    tasks = asyncio.all_tasks()
    pair.replica.pause()
    call = asyncio.ensure_future(safe.enqueue([job("a")]))
    with pair.primary.client() as connection:
        client: Any = connection
        await until(lambda: client.info("clients")["blocked_clients"])
    await safe.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await call
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("text", ["", "replica", "replica:0", "replica:-1", "replica:100", "all", "replica:1 "])
def test_durability_option_is_checked(text: str) -> None:
    """The error names the allowed values."""
    with pytest.raises(ValueError, match="durability must be 'primary', or 'replica:1' to 'replica:99'"):
        RedisBroker(durability=text)
