"""One broker object in several event loops, threads and processes: each has connections of its own."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aioq import Aarq, Worker
from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.model.job import Completed
from aioq_redis import RedisBroker
from tests.chaos.fleet import ROOT
from tests.redis.job_helpers import claim, job, request, until
from tests.redis.proxy import Fault, Proxy, When
from tests.servers import RedisServer

LOOPS = 1000
"""Event loops that live for one call."""

DESCRIPTORS = Path("/proc/self/fd")


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(DESCRIPTORS.iterdir()))


@pytest.mark.parametrize("close", [False, True])
def test_broker_works_in_successive_event_loops(
    redis_url: str, namespace: str, redis_server: RedisServer, close: bool
) -> None:
    """A broker can be used in one event loop after another, whether it was closed in between or not."""
    broker = RedisBroker(redis_url, namespace=namespace)

    async def use(number: int) -> list[bool]:
        await broker.connect()
        stored = await broker.enqueue([job(f"{number}")])
        if close:
            await broker.close()
        return stored

    assert [asyncio.run(use(number)) for number in range(3)] == [[True]] * 3


async def test_use_in_a_second_event_loop_leaves_the_first_alone(
    proxy: Proxy, make_broker: Callable[..., RedisBroker]
) -> None:
    """A thread with a loop of its own gets a connection of its own, and closes only that."""
    broker = make_broker(proxy.url)
    await broker.connect()

    async def elsewhere() -> None:
        await broker.enqueue([job("a")])
        await broker.close()

    await asyncio.to_thread(asyncio.run, elsewhere())
    assert [lease.job_id for lease in await claim(broker)] == ["a"]
    assert proxy.connections == 2


def test_use_without_asyncio_loop_raises() -> None:
    """Outside asyncio a call raises `BrokerConfigError`."""
    coroutine = RedisBroker().time()
    with pytest.raises(BrokerConfigError, match="asyncio"):
        coroutine.send(None)


def test_threads_enqueue_with_asyncio_run(redis_url: str, namespace: str, redis_server: RedisServer) -> None:
    """Every thread of a synchronous web server can enqueue, all at the same time."""
    app = Aarq(RedisBroker(redis_url, namespace=namespace))

    @app.task(name="tasks.work")
    async def work(_: object, number: int) -> None: ...

    def handle_request(number: int) -> str:
        return asyncio.run(work.enqueue(number)).id

    with ThreadPoolExecutor(4) as threads:
        ids = set(threads.map(handle_request, range(80)))
    stats = asyncio.run(app.broker.queue_stats())  # type: ignore[attr-defined]  # of the Redis broker
    assert len(ids) == stats[0].pending == 80


async def test_plain_def_task_enqueues_with_asyncio_run(redis_url: str, namespace: str) -> None:
    """A plain `def` task, which runs in a thread, can enqueue follow-up jobs."""
    async with Aarq(RedisBroker(redis_url, namespace=namespace)) as app:
        done: list[int] = []

        @app.task(name="tasks.step")
        def step(_: object, left: int) -> None:
            done.append(left)
            if left:
                asyncio.run(step.enqueue(left - 1))

        await step.enqueue(3)
        await Worker(app, burst=True, handle_signals=False).run()
        assert done == [3, 2, 1, 0]


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_forked_child_enqueues(redis_url: str, namespace: str, redis_server: RedisServer, kind: str) -> None:
    """A child and its parent enqueue at the same time, also if they share the event loop; neither sees a lost reply."""
    program = subprocess.run(
        [sys.executable, "-m", "tests.redis.client.forking", redis_url, namespace, kind],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (program.returncode, "a reply came" in program.stderr, "BrokerUnavailable" in program.stderr) == (
        0,
        False,
        False,
    )
    broker = RedisBroker(redis_url, namespace=namespace)
    assert asyncio.run(broker.queue_stats())[0].pending == 60


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="the system does not list the descriptors of a process")
@pytest.mark.parametrize("durability", ["primary", "replica:1"])
def test_short_lived_loops_leave_no_descriptor(
    redis_url: str, namespace: str, redis_server: RedisServer, raw: Any, durability: str
) -> None:
    """`asyncio.run` closes all connections of its loop, those for commands, for messages, and for waits."""
    broker = RedisBroker(redis_url, namespace=namespace, timeout=1, durability=durability)
    numbers = count()

    async def use() -> None:
        n = next(numbers)
        await broker.queue_stats() if durability != "primary" else await broker.enqueue([job(f"{n}")])
        if n % 100 == 0:
            with suppress(BrokerConfigError, BrokerUnavailable):
                await broker.enqueue([job(f"copied-{n}")])
            await broker.wait_for_result(f"{n}", queue="q", timeout=0.01)
            await claim(broker, 0)
            await broker.wait_and_claim(request(0), timeout=0.01)

    asyncio.run(use())
    clients, before = len(raw.client_list()), descriptors()
    for _ in range(LOOPS):
        asyncio.run(use())
    assert descriptors() == before
    asyncio.run(until(lambda: len(raw.client_list()) <= clients))


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="the system does not list the descriptors of a process")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_closed_loops_leave_no_connection(
    redis_url: str, namespace: str, redis_server: RedisServer, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop that is closed with its tasks unfinished loses its connections when the broker is used in the next one."""
    broker = RedisBroker(redis_url, namespace=namespace)

    def use() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(broker.time())
        loop.close()

    clients, before = len(raw.client_list()), descriptors()
    for _ in range(20):
        use()
    asyncio.run(broker.time())
    asyncio.run(until(lambda: len(raw.client_list()) <= clients))
    gc.collect()
    assert descriptors() == before


async def test_repeated_call_in_the_next_loop_stores_no_second_job(
    proxy: Proxy, namespace: str, broker: RedisBroker
) -> None:
    """A call that failed in one event loop and is repeated in the next runs its job once, though it left no record."""
    behind = RedisBroker(proxy.url, namespace=namespace, timeout=2)

    async def enqueue() -> list[bool]:
        return await behind.enqueue([job("a")])

    await broker.enqueue([job("first")])  # now the server knows the script
    assert len(await claim(broker)) == 1
    proxy.fail(Fault(b"EVALSHA", When.AFTER, silent=True))
    with pytest.raises(BrokerUnavailable):
        await asyncio.to_thread(asyncio.run, enqueue())
    (lease,) = await claim(broker)
    await broker.settle([Completed(lease=lease)])
    assert await asyncio.to_thread(asyncio.run, enqueue()) == [True]
    assert await claim(broker) == []
