"""Storing jobs: shared round trips, all or none, order, and a server without room."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from aioq.errors import BrokerFull, JobConflict
from aioq.model.job import Completed, Failed, Released, Retried, Settled, Settlement
from aioq.model.states import JobState
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import MAX_QUEUES
from tests.redis.job_helpers import FAILURE, claim, job, lease_of, let_pass
from tests.redis.layout import keys_of
from tests.servers import RedisServer


async def test_enqueue_concurrent_calls_share_a_script(broker: RedisBroker, raw: Any) -> None:
    """The first of a hundred calls is sent at once and the others in one script; each call gets its own answer."""
    await broker.enqueue([job("1")])
    raw.config_resetstat()
    answers = await asyncio.gather(*(broker.enqueue([job(str(n))]) for n in range(100)))
    assert answers == [[True], [False]] + [[True]] * 98
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] == 2


async def test_enqueue_in_many_queues_keeps_few_objects(broker: RedisBroker, tampered: list[bool]) -> None:
    """A client that uses ever new queues keeps a bounded number of objects for them."""

    def kept() -> dict[str, int]:
        gc.collect()
        kinds = [type(thing).__name__ for thing in gc.get_objects()]
        return {name: kinds.count(name) for name in ("EnqueueBatcher", "KeySpace", "Doubts", "TimerHandle")}

    tampered.append(True)  # a search for leaks in thousands of queues takes long
    before, half = kept(), MAX_QUEUES // 2
    for n in range(0, 2 * MAX_QUEUES, half):
        await asyncio.gather(*(broker.enqueue([job("x", queue=f"{n + i}")]) for i in range(half)))
        for name, count in kept().items():
            assert count - before[name] <= MAX_QUEUES + 10, name
    assert await broker.enqueue([job("x", queue="0"), job("y", queue="1")]) == [False, True]


async def test_enqueue_lone_job_costs_one_small_script(broker: RedisBroker, raw: Any) -> None:
    """A lone job is stored by the small script; if that cannot decide, another script follows."""
    await broker.enqueue([job("later", delay=60), job("0"), job("1")])
    await broker.settle([Completed(lease=(await claim(broker, 1))[0], retain_for=60)])
    await broker.enqueue([job("2")])
    raw.config_resetstat()
    assert await broker.enqueue([job("3")]) == [True]
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    assert await broker.enqueue([job("0")]) == [False]
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] == 3
    assert [lease.job_id for lease in await claim(broker)] == ["1", "2", "3"]


async def test_enqueue_lone_job_runs_after_jobs_due_before(broker: RedisBroker) -> None:
    """A job that was due before another was enqueued runs before it."""
    await broker.enqueue([job("due", delay=0.01)])
    await let_pass(broker, 0.02)
    await broker.enqueue([job("alone")])
    assert [lease.job_id for lease in await claim(broker)] == ["due", "alone"]


async def test_enqueue_id_of_a_cancelled_job_runs_once(broker: RedisBroker) -> None:
    """The script removes what a cancelled job left in its queue, so that a new job with its id runs once."""
    await broker.enqueue([job("a"), job("b")])
    await broker.cancel_job("a", queue="q")
    await broker.retry_job("a", queue="q")
    await broker.cancel_job("b", queue="q")
    assert await broker.enqueue([job("c")]) == [True]
    assert [lease.job_id for lease in await claim(broker)] == ["a", "c"]


async def test_enqueue_conflict_fails_its_caller_only(broker: RedisBroker) -> None:
    """Of calls that share a script only the one with the conflict fails, with all of its jobs."""
    await broker.enqueue([job("a", payload=b"1")])
    answers = await asyncio.gather(
        broker.enqueue([job("b")]),
        broker.enqueue([job("c"), job("a", payload=b"2"), job("d")]),
        broker.enqueue([job("a", payload=b"1"), job("e")]),
        return_exceptions=True,
    )
    assert answers[0] == [True]
    assert isinstance(answers[1], JobConflict)
    assert answers[2] == [False, True]
    assert [lease.job_id for lease in await claim(broker)] == ["a", "b", "e"]


async def test_enqueue_same_job_concurrently_is_stored_once(broker: RedisBroker) -> None:
    """A job that several callers enqueue at once is stored once; another job with its id is a conflict."""
    answers = await asyncio.gather(
        broker.enqueue([job("a")]),
        broker.enqueue([job("a")]),
        broker.enqueue([job("a", task="tasks.other")]),
        return_exceptions=True,
    )
    assert [*answers[:2]] == [[True], [False]]
    assert isinstance(answers[2], JobConflict)


async def test_enqueue_ids_of_a_rejected_call_stay_free(broker: RedisBroker) -> None:
    """Another caller can store a job with an id that a rejected call had."""
    await broker.enqueue([job("a", payload=b"1")])
    answers = await asyncio.gather(
        broker.enqueue([job("b"), job("a", payload=b"2")]),
        broker.enqueue([job("b", payload=b"3")]),
        return_exceptions=True,
    )
    assert isinstance(answers[0], JobConflict)
    assert answers[1] == [True]


async def test_enqueue_cancelled_caller_leaves_others_alone(broker: RedisBroker) -> None:
    """Calls that share a script have futures of their own."""
    await broker.connect()
    first = asyncio.ensure_future(broker.enqueue([job("a")]))
    second = asyncio.ensure_future(broker.enqueue([job("b")]))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == [True]
    assert await broker.enqueue([job("b")]) == [False]


async def test_enqueue_conflict_in_one_queue_stores_nothing(broker: RedisBroker) -> None:
    """The broker checks jobs of several queues before it stores any."""
    await broker.enqueue([job("a", queue="two", payload=b"1")])
    with pytest.raises(JobConflict, match="job id a is taken in queue two"):
        await broker.enqueue([job("b", queue="one"), job("a", queue="two", payload=b"2")])
    assert [stats.pending for stats in await broker.queue_stats()] == [1]


@pytest.mark.parametrize("size", [1, 1024, 1025])
@pytest.mark.parametrize("keep", [Completed, Failed])
async def test_enqueue_id_of_another_ended_job_conflicts(
    broker: RedisBroker, keep: type[Completed | Failed], size: int
) -> None:
    """While the record of an ended job is kept, a job with its id and another task or payload is a conflict."""
    payload = b"1" * size
    lease = await lease_of(broker, payload=payload)
    failed = Failed(lease=lease, failure=FAILURE, retain_for=60)
    await broker.settle([failed if keep is Failed else Completed(lease=lease, retain_for=60)])
    assert await broker.enqueue([job("a", payload=payload)]) == [False]
    for other in (job("a", payload=payload[:-1] + b"2"), job("a", payload=payload, task="tasks.other")):
        with pytest.raises(JobConflict):
            await broker.enqueue([other])


async def test_enqueue_again_with_other_options_is_no_conflict(broker: RedisBroker) -> None:
    """The priority, delay and crashes of a repeated job do not matter; the first ones stay."""
    await broker.enqueue([job("a", priority=2)])
    assert await broker.enqueue([job("a", priority=7, delay=60.0, max_crashes=1)]) == [False]
    assert (await claim(broker))[0].priority == 2


async def test_claim_due_jobs_in_order_of_priority_and_time(broker: RedisBroker) -> None:
    """Jobs that are due together run in order of priority, and of equal ones the earlier first."""
    now = await broker.time()
    jobs = [job(f"{p}-{n}", priority=p, run_at=now + 0.1 - n / 100) for p in (1, 9) for n in (1, 2, 3)]
    await broker.enqueue(jobs)
    assert await claim(broker) == []
    await let_pass(broker, 0.11)
    assert [lease.job_id for lease in await claim(broker)] == ["9-3", "9-2", "9-1", "1-3", "1-2", "1-1"]


@pytest.mark.parametrize("jobs", [64, 1000])
async def test_claim_jobs_delayed_together_in_order(broker: RedisBroker, jobs: int) -> None:
    """Jobs that one call enqueues with one delay run in order; those of a large call, nearly so."""
    await broker.enqueue([job(f"{-n % jobs:04}", delay=0.01) for n in range(jobs)])
    await let_pass(broker, 0.02)
    places = [-int(lease.job_id) % jobs for lease in await claim(broker, jobs)]
    assert len(places) == jobs
    assert all(abs(place - n) <= jobs // 64 for n, place in enumerate(places))
    assert jobs > 64 or places == list(range(jobs))


@pytest.mark.parametrize("moment", [0.0, 1.0, 7.2e9])
async def test_enqueue_any_moment_keeps_the_priority(broker: RedisBroker, moment: float) -> None:
    """The script reads the priority of a due job from its score, for moments from 1970 to 2200."""
    now = await broker.time()
    await broker.enqueue([job(str(n), priority=n, run_at=moment) for n in range(10)])
    leases = await claim(broker, lease=max(moment - now, 0.001))
    await let_pass(broker, 0.01)
    await broker.settle([Released(lease=lease, delay=max(moment - now, 0.0)) for lease in leases])
    assert [lease.priority for lease in leases] == ([] if moment > now else list(range(9, -1, -1)))
    records = await broker.list_jobs("q", JobState.SCHEDULED if moment > now else JobState.PENDING)
    assert [record.id for record in records] == [str(n) for n in range(9, -1, -1)]


@pytest.mark.parametrize(
    "changes",
    [{"id": "a b"}, {"id": "a\n"}, {"id": ""}, {"id": "x" * 201}, {"task": "a b"}, {"task": ""}, {"priority": 10}],
)
async def test_enqueue_invalid_job_raises_before_sending(broker: RedisBroker, changes: dict[str, Any]) -> None:
    """The broker checks ids, tasks and priorities before it sends anything."""
    with pytest.raises(ValueError, match=r"job_id|name|priority"):
        await broker.enqueue([job(**{"id": "a", **changes})])


@pytest.mark.parametrize("queue", ["a:b", "{}", "../x", ""])
async def test_enqueue_invalid_queue_raises(broker: RedisBroker, queue: str) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match="queue"):
        await broker.enqueue([job("a", queue)])


async def test_namespaces_share_no_data(make_broker: Callable[..., RedisBroker], namespace: str) -> None:
    """Two apps on one server do not see each other's jobs, workers or ticks."""
    ours, theirs = make_broker(), make_broker(namespace=f"{namespace}-2")
    await ours.enqueue([job("a")])
    assert await claim(theirs) == []
    assert await theirs.queue_stats() == []
    assert await theirs.get_job("a", queue="q") is None
    assert await theirs.enqueue([job("a", payload=b"other")]) == [True]
    await theirs.cancel_job("a", queue="q")
    assert len(await claim(ours)) == 1


async def test_ended_jobs_leave_no_keys(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """If no result is kept, no key holds anything of a job that has ended."""
    jobs = [job(str(n), priority=n % 10, delay=0.02 * (n % 2)) for n in range(50)]
    await broker.enqueue(jobs)
    done = 0
    while done < len(jobs):
        for lease in await claim(broker, 7):
            if lease.attempt == 1 and int(lease.job_id) % 5 == 0:
                await broker.settle([Retried(lease=lease, delay=0, failure=FAILURE)])
            elif lease.epoch == 1 and int(lease.job_id) % 5 == 1:
                await broker.settle([Released(lease=lease)])
            else:
                await broker.settle([Completed(lease=lease)])
                done += 1
    left = [key.partition("}:")[2] for key in keys_of(raw, namespace)]
    assert [name for name in left if name.partition(":")[0] not in ("queue_names", "claim", "memo", "wake")] == []


class TestFullServer:
    """A server at its maxmemory, told to evict nothing."""

    @pytest.fixture
    async def full(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> tuple[RedisBroker, Any]:
        """A broker with ten jobs, on a server that has just become full."""
        server = start_server()
        broker = make_broker(server.url, timeout=3600)
        await broker.enqueue([job(str(n)) for n in range(10)])
        with server.client() as connection:
            client: Any = connection
            client.config_set("maxmemory", "1")
        return broker, client

    async def test_enqueue_raises_broker_full_and_stores_nothing(self, full: tuple[RedisBroker, Any]) -> None:
        """Enqueueing fails with `BrokerFull` without further tries, and stores nothing."""
        broker, _ = full
        for jobs in ([job("new")], [job("later", delay=60.0)], [job("x"), job("y", priority=9)]):
            with pytest.raises(BrokerFull, match="is full: it has reached its maxmemory"):
                await broker.enqueue(jobs)
        assert [stats.pending for stats in await broker.queue_stats()] == [10]

    async def test_workers_can_empty_the_queue(self, full: tuple[RedisBroker, Any]) -> None:
        """Claims, extensions, retries, releases, completions with a result and reaping succeed on a full server."""
        broker, _ = full
        leases = await claim(broker, 4)
        assert await broker.extend(leases, seconds=60) == []
        settlements: list[Settlement] = [
            Completed(lease=leases[0]),
            Completed(lease=leases[1], result=b"1", retain_for=60),
            Retried(lease=leases[2], delay=0, failure=FAILURE),
            Released(lease=leases[3]),
        ]
        assert await broker.settle(settlements) == [Settled.DONE] * 4
        await claim(broker, 1, lease=0.001)
        await let_pass(broker, 0.01)
        assert len(await broker.reap(["q"])) == 1
        assert await broker.cancel_job("9", queue="q") is True
        for lease in await claim(broker):
            assert await broker.settle([Completed(lease=lease)]) == [Settled.DONE]
        assert await claim(broker) == []
        assert [(stats.pending, stats.scheduled, stats.running) for stats in await broker.queue_stats()] == [(0, 0, 0)]


async def test_enqueue_takes_the_largest_call(make_broker: Callable[..., RedisBroker]) -> None:
    """The broker stores as many jobs as `enqueue_many` allows; a server rejects four times as many arguments."""
    broker = make_broker(timeout=50.0)  # a busy machine needs longer than the default
    assert await broker.enqueue([job(f"{n}") for n in range(100_000)]) == [True] * 100_000
