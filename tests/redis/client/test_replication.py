"""Enqueues that return when replicas have the jobs."""

from __future__ import annotations

import asyncio
import re
import time
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


async def test_an_enqueue_returns_when_a_replica_has_the_job(pair: Pair, safe: RedisBroker, namespace: str) -> None:
    """Whoever takes over has it."""
    assert await safe.enqueue([job("a"), job("b")]) == [True, True]
    with pair.replica.client() as connection:
        client: Any = connection
        assert client.hkeys(f"{{{namespace}:q}}:jobs") == [b"a", b"b"]


async def test_a_replica_that_is_late_is_an_error_that_says_what_holds(pair: Pair, safe: RedisBroker) -> None:
    """The jobs are stored and run; the error says that, what may happen, and what to do."""
    await safe.enqueue([job("a")])
    pair.replica.pause()
    started = time.monotonic()
    with pytest.raises(NotReplicated) as caught:
        await safe.enqueue([job("b")])
    assert time.monotonic() - started < 1
    assert (caught.value.wanted, caught.value.copies) == (1, 0)
    assert str(caught.value) == (
        f"the jobs are stored on the primary of {_shown(pair.primary.url)}/0 and will run, but 0 of 1 replicas confirmed "
        f"them within 0.5 s, so a failover may lose them; check that the replicas are up, and repeat the call, which "
        f"stores nothing twice"
    )
    assert [lease.job_id for lease in await claim(safe)] == ["a", "b"]


def _shown(url: str) -> str:
    return re.sub(":[^:]*@", ":***@", url)


async def test_a_repeated_call_waits_for_the_replica_again(pair: Pair, safe: RedisBroker, make_broker: Make) -> None:
    """It stores nothing, and yet does not return before the jobs are copied: not even on a new connection.

    Whoever repeats it is answered as the first time; to others the job is known.
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


async def test_who_waits_for_a_replica_holds_up_nobody(pair: Pair, safe: RedisBroker) -> None:
    """Other calls of the same broker are answered in the meantime."""
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


async def test_many_enqueues_at_once_are_all_confirmed(safe: RedisBroker) -> None:
    """More than there are connections for it."""
    made = [asyncio.ensure_future(safe.enqueue([job(f"job-{n}", queue=f"q{n % 20}")])) for n in range(100)]
    assert await asyncio.gather(*made) == [[True]] * 100


async def test_a_script_that_the_server_forgot_is_sent_again(pair: Pair, safe: RedisBroker) -> None:
    """SCRIPT FLUSH goes unnoticed."""
    await safe.enqueue([job("a")])
    with pair.primary.client() as connection:
        client: Any = connection
        client.script_flush()
    assert await safe.enqueue([job("b")]) == [True]


async def test_a_full_server_is_full(pair: Pair, safe: RedisBroker) -> None:
    """The error is the one of any enqueue."""
    with pair.primary.client() as connection:
        client: Any = connection
        client.config_set("maxmemory", "1")
    with pytest.raises(BrokerFull):
        await safe.enqueue([job("a")])


async def test_killed_connections_go_unnoticed(pair: Pair, safe: RedisBroker) -> None:
    """A lost reply is asked for again."""
    with pair.primary.client() as connection:
        client: Any = connection
        for n in range(10):
            client.client_kill_filter(_type="normal", skipme=True)
            assert await safe.enqueue([job(f"job-{n}")]) == [True]


async def test_connections_that_broke_while_idle_cost_one_try(
    pair: Pair, safe: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there were: if each had to be found out about, the call would run out of time."""
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


async def test_a_closed_broker_fails_what_was_under_way(pair: Pair, safe: RedisBroker) -> None:
    """A call that waits for a replica ends with an error, and no task is left."""
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
def test_what_is_not_understood_is_refused(text: str) -> None:
    """The error says what is."""
    with pytest.raises(ValueError, match="durability must be 'primary', or 'replica:1' to 'replica:99'"):
        RedisBroker(durability=text)
