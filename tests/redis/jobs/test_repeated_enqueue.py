"""Enqueue calls that got no answer and are repeated: each job runs once, even if it leaves no record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import aioq_redis.jobs.enqueue_batches
from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.model.job import Completed, NewJob, Retried, Settled, Settlement
from aioq_redis import RedisBroker
from aioq_redis.storage.scripts import NAMES, load
from tests.redis.job_helpers import job, let_pass, request, until
from tests.redis.proxy import Fault, Proxy, When
from tests.servers import RedisServer

LONE, MANY = [job("a")], [job("a"), job("b", priority=9), job("c", delay=0.001)]
PATIENCE = 2.0
"""Seconds for which a call waits for an answer: a test waits as long for each that never comes, and those that come must
not be late on a busy machine."""
every_size = pytest.mark.parametrize("jobs", [LONE, MANY], ids=["lone", "many"])


@pytest.fixture
def behind(proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any) -> RedisBroker:
    """A broker behind the proxy that is soon out of patience; the server knows all scripts."""
    for name in NAMES:
        raw.script_load(load(name).text)
    return make_broker(proxy.url, timeout=PATIENCE)


async def run(broker: RedisBroker, jobs: list[NewJob] = LONE) -> list[str]:
    """Run jobs to their end as soon as they are there, and keep nothing of them; return their ids."""
    ran: list[str] = []
    queues = tuple({job.queue for job in jobs})
    async with asyncio.timeout(10):
        while len(ran) < len(jobs):
            leases = (await broker.claim(request(queues=queues))).leases
            await broker.settle([Completed(lease=lease) for lease in leases])
            ran += [lease.job_id for lease in leases]
    return sorted(ran)


async def left(broker: RedisBroker) -> list[str]:
    """Return the ids of jobs that are still there to be run."""
    leases = (await broker.claim(request(queues=("q", "r")))).leases
    return [lease.job_id for lease in leases]


async def fail(broker: RedisBroker, proxy: Proxy, jobs: list[NewJob] = LONE, when: When = When.AFTER) -> None:
    """Enqueue jobs, and let nothing more be heard from then on, until that has raised."""
    proxy.fail(Fault(jobs[0].task.encode(), when, silent=True))
    with pytest.raises(BrokerUnavailable):
        await broker.enqueue(jobs)
    proxy.cut()


@every_size
async def test_enqueue_repeated_by_the_broker_stores_once(
    make_broker: Callable[..., RedisBroker], broker: RedisBroker, proxy: Proxy, jobs: list[NewJob]
) -> None:
    """The reply is lost, the jobs run and end, and the broker's repetition gets the first answer."""
    behind = make_broker(proxy.url)
    await behind.enqueue([job("other", delay=60)])
    proxy.delay, fault = 0.05, Fault(b"tasks.work", When.AFTER, silent=False)
    proxy.fail(fault)
    call = asyncio.ensure_future(behind.enqueue(jobs))
    assert await run(broker, jobs) == [job.id for job in jobs]
    assert await call == [True] * len(jobs)
    assert proxy.is_over(fault)
    assert await left(broker) == []


@every_size
async def test_enqueue_repeated_by_the_caller_stores_once(
    behind: RedisBroker, broker: RedisBroker, proxy: Proxy, jobs: list[NewJob]
) -> None:
    """The call raises, the jobs run and end, and the same call gets the answer that the first would have got."""
    await fail(behind, proxy, jobs)
    assert await run(broker, jobs) == [job.id for job in jobs]
    assert await behind.enqueue(jobs) == [True] * len(jobs)
    assert await left(broker) == []


async def test_enqueue_repeated_many_times_stores_once(behind: RedisBroker, broker: RedisBroker, proxy: Proxy) -> None:
    """The caller repeats the call on several connections, with other jobs in between."""
    for n in range(3):
        await fail(behind, proxy)
        assert n or await run(broker) == ["a"]
        assert await behind.enqueue([job(f"other-{n}")]) == [True]
    assert await behind.enqueue([job("x"), *LONE]) == [True, True]
    assert sorted(await left(broker)) == ["other-0", "other-1", "other-2", "x"]


async def test_enqueue_lost_before_the_server_is_stored_later(
    behind: RedisBroker, broker: RedisBroker, proxy: Proxy
) -> None:
    """The repetition stores jobs that the server never received."""
    await fail(behind, proxy, MANY, When.BEFORE)
    assert await behind.enqueue(MANY) == [True] * 3
    assert await run(broker, MANY) == ["a", "b", "c"]


@every_size
async def test_enqueue_cancelled_and_repeated_stores_once(
    behind: RedisBroker, broker: RedisBroker, proxy: Proxy, jobs: list[NewJob]
) -> None:
    """A call that was cancelled, as by a timeout of the caller's own, can be repeated."""
    await behind.time()
    proxy.delay = 30.0
    call = asyncio.ensure_future(behind.enqueue(jobs))
    assert await run(broker, jobs) == [job.id for job in jobs]
    call.cancel()
    await asyncio.wait([call])
    proxy.delay = 0.0
    proxy.cut()
    assert await behind.enqueue(jobs) == [True] * len(jobs)
    assert await left(broker) == []


async def test_enqueue_resent_batch_leaves_out_cancelled_calls(
    make_broker: Callable[..., RedisBroker], broker: RedisBroker, proxy: Proxy, raw: Any
) -> None:
    """A script that stored nothing is sent again without the jobs of a caller that has repeated its call meanwhile."""
    behind = make_broker(proxy.url)
    await behind.enqueue([job("due", delay=0.001)])
    await let_pass(broker, 0.002)
    raw.config_resetstat()
    proxy.delay = 0.5
    call = asyncio.ensure_future(behind.enqueue(LONE))
    # It has to put the job that came due in line first, which this script does not do.
    await until(lambda: raw.info("commandstats").get("cmdstat_evalsha"))
    call.cancel()
    again = asyncio.ensure_future(behind.enqueue(LONE))
    assert await run(broker, [*LONE, job("due")]) == ["a", "due"]
    assert await again == [True]
    await behind.time()
    assert await left(broker) == []


async def test_enqueue_to_several_queues_repeated_stores_once(
    behind: RedisBroker, broker: RedisBroker, proxy: Proxy, raw: Any, namespace: str
) -> None:
    """What one queue stored before another failed is not stored again."""
    jobs = [job("a"), job("b", queue="r")]
    await behind.time()
    proxy.delay = 0.02
    call = asyncio.ensure_future(behind.enqueue(jobs))
    await until(lambda: raw.exists(f"{{{namespace}:q}}:jobs"))
    proxy.fail(Fault(b"\r\nb\r\n", When.AFTER, silent=True))
    with pytest.raises(BrokerUnavailable):
        await call
    proxy.cut()
    assert await run(broker, jobs) == ["a", "b"]
    assert await behind.enqueue(jobs) == [True, True]
    assert await left(broker) == []


async def test_enqueue_other_arguments_are_no_repetition(
    behind: RedisBroker, broker: RedisBroker, proxy: Proxy
) -> None:
    """A job with other arguments is another job; one with other options is not."""
    await fail(behind, proxy)
    assert await run(broker) == ["a"]
    assert await behind.enqueue([job("a", priority=9, max_crashes=1)]) == [True]
    assert await left(broker) == []
    assert await behind.enqueue([job("a", payload=b"other")]) == [True]
    assert await run(broker) == ["a"]


async def test_enqueue_after_an_answer_stores_a_new_job(broker: RedisBroker) -> None:
    """A caller that has heard that a job was stored, and stores another with its id, gets another job."""
    for _ in range(3):
        assert await broker.enqueue(LONE) == [True]
        assert await run(broker) == ["a"]


@every_size
async def test_enqueue_original_that_arrives_late_is_ignored(
    behind: RedisBroker, broker: RedisBroker, proxy: Proxy, redis_server: RedisServer, jobs: list[NewJob]
) -> None:
    """A request that is held up, and arrives after its repetition and the end of its jobs, stores nothing."""
    await behind.enqueue([job("first")])
    assert await run(broker) == ["first"]
    before = len(proxy.commands)
    await fail(behind, proxy, jobs, When.BEFORE)
    late = proxy.commands[before:]
    assert await behind.enqueue(jobs) == [True] * len(jobs)
    assert await run(broker, jobs) == [job.id for job in jobs]
    with redis_server.client() as client:
        connection: Any = client.connection_pool.make_connection()
        connection.send_packed_command([late])
        assert connection.read_response() in (0, [])
        connection.disconnect()
    assert await left(broker) == []


async def test_enqueue_limits_the_batches_in_flight(
    make_broker: Callable[..., RedisBroker], proxy: Proxy, raw: Any
) -> None:
    """Calls beyond the limit of unanswered batches are sent together."""
    behind = make_broker(proxy.url)
    await behind.enqueue([job("first")])
    raw.config_resetstat()
    proxy.delay = 0.3
    calls: list[asyncio.Future[list[bool]]] = []
    for n in range(40):
        calls.append(asyncio.ensure_future(behind.enqueue([job(str(n))])))
        for _ in range(3):
            await asyncio.sleep(0)
    assert await asyncio.gather(*calls) == [[True]] * 40
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] <= 18


async def test_enqueue_waiting_calls_time_out(behind: RedisBroker, proxy: Proxy) -> None:
    """Calls fail in time even if they were never sent, because the batches before them are not answered."""
    await behind.enqueue([job("first")])
    proxy.silent = True
    calls: list[asyncio.Future[list[bool]]] = []
    for n in range(40):
        calls.append(asyncio.ensure_future(behind.enqueue([job(str(n))])))
        for _ in range(3):
            await asyncio.sleep(0)
    async with asyncio.timeout(4 * PATIENCE):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, BrokerUnavailable) for answer in answers)
    proxy.silent = False
    proxy.cut()
    assert await behind.enqueue([job(str(n)) for n in range(40)]) == [True] * 40


async def test_enqueue_in_a_forked_process_is_another_client(
    broker: RedisBroker, raw: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requests of a forked process are not taken for those of its parent."""
    await broker.enqueue(LONE)
    await broker.close()
    monkeypatch.setattr(aioq_redis.jobs.enqueue_batches, "getpid", lambda: os.getpid() + 1)
    await broker.enqueue([job("b")])
    assert len(raw.keys(f"{{{namespace}:q}}:memo:*")) == 2


async def test_enqueue_repeated_after_close_stores_once(behind: RedisBroker, broker: RedisBroker, proxy: Proxy) -> None:
    """A caller can close the broker after an error, and repeat the call on new connections."""
    await fail(behind, proxy)
    await behind.close()
    assert await run(broker) == ["a"]
    assert await behind.enqueue(LONE) == [True]
    assert await left(broker) == []


async def silently(call: Coroutine[Any, Any, object], proxy: Proxy) -> None:
    """Have settlements written, and let nothing more be heard from then on, until that has raised."""
    proxy.fail(Fault(load("settle").sha.encode(), When.AFTER, silent=True))
    with pytest.raises(BrokerUnavailable):
        await call
    proxy.cut()


async def test_settle_repeated_after_a_lost_answer_is_already(
    behind: RedisBroker, broker: RedisBroker, proxy: Proxy
) -> None:
    """A settlement whose answer was lost is answered `ALREADY` when it is repeated with others, not `STALE`."""
    await broker.enqueue([job(id) for id in "abcd"])
    a, b, c, d = (await broker.claim(request())).leases
    first: list[Settlement] = [Completed(lease=a), Retried(lease=b, delay=0)]
    await silently(behind.settle(first), proxy)
    (again,) = (await broker.claim(request())).leases
    assert again.job_id == "b"
    await silently(behind.settle([*first, Completed(lease=c)]), proxy)
    assert await behind.settle([*first, Completed(lease=c), Completed(lease=d)]) == [Settled.ALREADY] * 3 + [
        Settled.DONE
    ]
    assert await behind.settle([*first, Completed(lease=c), Completed(lease=again)]) == [Settled.STALE] * 3 + [
        Settled.DONE
    ]


async def test_settle_repeated_for_one_queue_is_already_in_others(
    broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool]
) -> None:
    """If one queue fails, the caller repeats all settlements, and those of the other queues are `ALREADY` done."""
    tampered.append(True)
    await broker.enqueue([job("a"), job("b", queue="r")])
    done = [Completed(lease=lease) for lease in (await broker.claim(request(queues=("q", "r")))).leases]
    runs = f"{{{namespace}:r}}:runs"
    raw.rename(runs, f"{runs}-aside")
    raw.set(runs, "foreign")
    with pytest.raises(BrokerConfigError, match=f"key {runs} is a string"):
        await broker.settle(done)
    raw.rename(f"{runs}-aside", runs)
    assert await broker.settle(done) == [Settled.ALREADY, Settled.DONE]
