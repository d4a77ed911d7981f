"""Redis Sentinel: the primary is found, and found again after a failover."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq_redis.client import client, connection
from tests.cluster import Sentinels
from tests.redis.job_helpers import claim, job, until, work_of
from tests.redis.layout import assert_consistent
from tests.redis.load import Load
from tests.redis.nodes import Make
from tests.servers import RedisServer

FOLLOWED = 10.0
"""Seconds within which workers are back at work after a failover."""

UNCOPIED = 5
"""Jobs that a replica may be behind when jobs are enqueued one by one."""


@pytest.fixture
def watched(program: Path, namespace: str) -> Iterator[Sentinels]:
    """A primary and two replicas, watched by three sentinels."""
    watched = Sentinels(program, namespace, replicas=2)
    try:
        watched.start()
        yield watched
        if any(sentinel.running for sentinel in watched.sentinels):
            with watched.primary().client() as client:
                assert_consistent(client, namespace)
    finally:
        watched.close()


@pytest.fixture
def plain(program: Path, namespace: str) -> Iterator[Sentinels]:
    """A primary and a replica, and a sentinel that tells of them."""
    plain = Sentinels(program, namespace, sentinels=1)
    try:
        plain.start()
        yield plain
    finally:
        plain.close()


async def test_dead_sentinels_are_passed_over(watched: Sentinels, make: Make) -> None:
    """A sentinel that is down or hangs is passed over; if all are down the error names each."""
    watched.sentinels[0].kill()
    watched.sentinels[1].pause()
    broker = make(watched.url)
    await broker.connect()
    assert await broker.enqueue([job("a")]) == [True]
    watched.sentinels[1].kill()
    watched.sentinels[2].kill()
    assert len(await claim(broker)) == 1  # the connection is there
    ports = ".*".join(str(sentinel.port) for sentinel in watched.sentinels)
    with pytest.raises(BrokerUnavailable, match=f"no sentinel knows the primary.*{ports}"):
        await make(watched.url).connect()


async def test_failover_is_followed_while_old_primary_lives(watched: Sentinels, make: Make) -> None:
    """All kinds of connections find the new primary, though the old one still answers."""
    broker, other = make(watched.url), make(watched.url)
    old = watched.primary()
    await broker.enqueue([job("a")])
    assert len(await claim(broker)) == 1
    assert await work_of(broker, timeout=0.05) == []
    result = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=20))
    await asyncio.to_thread(watched.fail_over)
    started = time.monotonic()
    while watched.primary() is old:
        await asyncio.sleep(0.02)
    work = asyncio.ensure_future(work_of(broker, timeout=20))
    async with asyncio.timeout(FOLLOWED):
        while True:
            try:
                assert await other.enqueue([job("b")]) in ([True], [False])
                break
            except BrokerUnavailable:
                pass
        assert await work == ["b"]
        assert await other.cancel_job("a", queue="q") is True
        assert await result is True
    assert time.monotonic() - started < FOLLOWED


@pytest.mark.parametrize("durability", ["primary", "replica:1"])
@pytest.mark.parametrize("end", ["kill", "pause"])
async def test_failed_primary_is_replaced(
    watched: Sentinels, make: Make, monkeypatch: pytest.MonkeyPatch, end: str, durability: str
) -> None:
    """Work goes on within ten seconds. Only jobs that no replica had are lost, and none that a replica confirmed."""
    monkeypatch.setattr(client, "silence_limit", lambda timeout: 1.0)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)
    primary = watched.primary()
    load = Load(make(watched.url, timeout=2.0, durability=durability), make(watched.url, timeout=2.0))

    def trouble() -> None:
        getattr(primary, end)()
        watched.fail_over()

    await load.during(trouble)
    # The sentinel that is asked at the end may hear of the new primary later than the broker.
    await until(lambda: watched.primary() is not primary)
    lost = set(load.enqueued) - set(load.done)
    assert len(lost) <= (0 if durability == "replica:1" else UNCOPIED)
    assert load.outage < FOLLOWED


async def test_reconfigured_sentinels_are_followed(
    plain: Sentinels, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Sentinels that are set up anew may name another primary; it is followed, though the old one still answers."""
    broker, port = make(plain.url), plain.servers[1].port
    await broker.enqueue([job("a")])
    with caplog.at_level(logging.INFO, "aioq.redis"), plain.sentinels[0].client() as connection:
        sentinel: Any = connection
        await until(lambda: any(int(client["sub"]) for client in sentinel.client_list(_type="pubsub")))
        sentinel.execute_command("SENTINEL", "REMOVE", "main")
        sentinel.client_kill_filter(_type="pubsub")
        await until(lambda: "watch no service" in caplog.text)
        with plain.servers[1].client() as replica:
            replica.replicaof("NO", "ONE")
            replica.flushall()
        sentinel.execute_command("SENTINEL", "MONITOR", "main", "127.0.0.1", port, 1)
        sentinel.client_kill_filter(_type="pubsub")
        await until(lambda: f"is now 127.0.0.1:{port}" in caplog.text)
    assert await broker.enqueue([job("b")]) == [True]
    assert [lease.job_id for lease in await claim(broker)] == ["b"]


class TestWrongUrls:
    """`connect` finds mistakes in the URL."""

    async def test_wrong_service_or_scheme_raises(self, plain: Sentinels, make: Make) -> None:
        """An unknown service, and a sentinel in place of a server: the errors say what to write."""
        await make(plain.url).connect()
        with pytest.raises(BrokerConfigError, match=r"watch no service 'other'; check the path of the URL"):
            await make(plain.url.replace("/main", "/other")).connect()
        with pytest.raises(BrokerConfigError, match=r"is a sentinel; write redis\+sentinel://host:port/service"):
            await make(f"redis://127.0.0.1:{plain.sentinels[0].port}").connect()

    async def test_server_as_sentinel_raises(self, start_server: Callable[..., RedisServer], make: Make) -> None:
        """The error says what to check."""
        url = f"redis+sentinel://127.0.0.1:{start_server(tcp=True).port}/main"
        with pytest.raises(BrokerConfigError, match=r"rejects SENTINEL: .*check the addresses"):
            await make(url).connect()
