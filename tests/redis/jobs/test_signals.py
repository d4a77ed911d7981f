"""Telling clients of results, and workers of aborts: messages, and what happens when they get lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest

from aioq import Aarq
from aioq.errors import BrokerUnavailable, JobNotFound
from aioq.model.job import Completed
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, lease_of, until
from tests.redis.layout import keys_of
from tests.redis.proxy import Proxy
from tests.redis.virtual import pass_time
from tests.servers import RedisServer


def awaited(raw: Any, namespace: str) -> int:
    """Return the number of jobs of queue `q` whose end a client waits for."""
    number: int = raw.zcard(f"{{{namespace}:q}}:waits")
    return number


async def test_wait_for_result_many_share_one_connection(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """Each caller is notified of its own job, and the server keeps no list of notified callers."""
    broker = make_broker(proxy.url)
    await broker.enqueue([job(str(n)) for n in range(50)])
    leases = await claim(broker, 50)
    waits = [asyncio.ensure_future(broker.wait_for_result(str(n), queue="q", timeout=30)) for n in range(50)]
    await until(lambda: awaited(raw, namespace) == 50)
    await broker.settle([Completed(lease=lease) for lease in leases])
    async with asyncio.timeout(10):
        assert await asyncio.gather(*waits) == [True] * 50
    assert (proxy.connections, awaited(raw, namespace)) == (2, 0)


async def test_wait_for_result_notices_a_lost_message(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """After a lost connection a client looks whether the job has ended."""
    lease = await lease_of(broker)
    wait = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=30))
    await until(lambda: awaited(raw, namespace))
    raw.client_kill_filter(_type="pubsub")
    await broker.settle([Completed(lease=lease)])
    async with asyncio.timeout(10):
        assert await wait is True


async def test_wait_for_result_looks_again_once_subscribed(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], broker: RedisBroker, raw: Any, namespace: str
) -> None:
    """A client that looked while it was not subscribed looks again when it is."""
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


async def test_wait_for_result_one_of_two_can_leave(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A client that leaves a channel does not take it away from others."""
    lease = await lease_of(broker)
    first, second = (asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=30)) for _ in range(2))
    await until(lambda: awaited(raw, namespace))
    first.cancel()
    await asyncio.wait([first])
    third = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=30))
    await broker.settle([Completed(lease=lease)])
    async with asyncio.timeout(10):
        assert [await second, await third] == [True, True]


@pytest.mark.usefixtures("virtual_time")
async def test_wait_for_result_short_wait_leaves_long_one(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A caller with a longer wait is notified, also if another wait for the same job is over."""
    lease, _ = await lease_of(broker), await lease_of(broker, "b")
    wait = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=1000))
    await until(lambda: awaited(raw, namespace))
    assert await broker.wait_for_result("a", queue="q", timeout=0) is False
    pass_time(raw, 500)
    assert await broker.wait_for_result("b", queue="q", timeout=0) is False  # forgets those whose time is over
    await broker.settle([Completed(lease=lease)])
    async with asyncio.timeout(10):
        assert await wait is True


async def test_wait_for_result_closed_broker_raises(
    broker: RedisBroker, make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """The wait fails, and connects to nothing again."""
    await lease_of(make_broker())
    tasks = asyncio.all_tasks()
    wait = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=30))
    await until(lambda: awaited(raw, namespace))
    await broker.close()
    async with asyncio.timeout(10):
        with pytest.raises(BrokerUnavailable, match="the connection was closed"):
            await wait
    assert asyncio.all_tasks() == tasks


async def test_wait_for_result_again_at_once_misses_nothing(broker: RedisBroker) -> None:
    """A client that leaves and joins a channel in quick succession misses no message."""
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


async def test_aborts_continue_after_a_lost_connection(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A worker is notified of later cancellations after the connection was lost."""
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
        assert (await heard).job_id == "a"
    assert isinstance(aborts, AsyncGenerator)
    await aborts.aclose()


async def test_outage_of_pubsub_is_logged_once(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """An outage is logged once, however often the connection is tried again; the next outage is logged again."""
    server = start_server()
    caplog.set_level(logging.DEBUG, "aioq.redis")
    aborts = make_broker(server.url).aborts("w1")
    heard = asyncio.ensure_future(anext(aborts))

    def listens() -> bool:
        with server.client() as client:
            return bool(client.client_list(_type="pubsub"))

    def tries() -> list[int]:
        return [record.levelno for record in caplog.records if "connection for messages" in record.getMessage()]

    for n in (1, 2):
        await until(listens)
        server.stop()
        await until(lambda: len(tries()) >= 3 * n)  # noqa: B023  # called at once
        assert tries().count(logging.WARNING) == n
        server.start()
    await until(listens)
    heard.cancel()
    await asyncio.wait([heard])
    assert isinstance(aborts, AsyncGenerator)
    await aborts.aclose()


async def test_result_of_a_lost_job_is_not_found(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server loses the data while a client waits, the client hears that nothing is known of the job."""
    monkeypatch.setattr("aioq.handle.MAX_WAIT", 0.5)
    app = Aarq(make_broker())
    task = app.task(name="never")(_never)
    job = await task.enqueue()
    with anyio.fail_after(20):
        waiting = asyncio.create_task(job.result())
        await until(lambda: raw.exists(f"{{{namespace}:default}}:waits"))
        raw.delete(*keys_of(raw, namespace))
        with pytest.raises(JobNotFound, match=f"nothing is known of job {job.id} of never: .*the broker lost its data"):
            await waiting


async def _never(_: object) -> None:
    raise AssertionError("no worker runs it")
