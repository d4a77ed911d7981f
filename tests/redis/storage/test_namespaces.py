"""Apps of different namespaces on one server do not touch the keys of each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aioq import Aarq, JobState, Worker
from aioq.model.cron import TickOutcome
from aioq_redis import RedisBroker
from tests.redis.job_helpers import job, lease_of, work_of
from tests.redis.tick_helpers import KEY, bid, entry, record, run_of
from tests.servers import RedisServer

FORBIDDEN = {
    *("FLUSHALL", "FLUSHDB", "KEYS", "SCAN", "RANDOMKEY", "SWAPDB", "MIGRATE", "DEBUG", "SCRIPT"),
    *("SHUTDOWN", "MONITOR", "SAVE", "BGSAVE", "REPLICAOF", "MOVE", "RENAME", "COPY", "SORT"),
}
KEYLESS = {"AUTH", "CLIENT", "CONFIG", "HELLO", "PING", "SELECT", "TIME"}
"""Commands that name no key, and that we do send."""


@contextmanager
def watched(server: RedisServer) -> Iterator[list[list[bytes]]]:
    """Gather every command that the server is given by the block, also by scripts."""
    seen: list[list[bytes]] = []
    with server.client() as connection:
        client: Any = connection
        monitor = client.monitor()
    with monitor:
        yield seen
        with server.client() as last:
            last.ping()
        while (words := _words(monitor.connection.read_response()))[0].upper() != b"PING":
            seen.append(words)


def _words(line: bytes) -> list[bytes]:
    """Return a command from the line that tells of it: `1764000000.123456 [0 lua] "HGET" "key" "field"`."""
    quoted = re.findall(rb'"((?:[^"\\]|\\.)*)"', line)
    return [word.decode("unicode_escape").encode("latin-1") for word in quoted]


def keys_in(client: Any, words: list[bytes]) -> list[str]:
    """Return the keys and channels that a command names, as the server sees it."""
    verb = words[0].upper().decode()
    if verb in KEYLESS:
        return []
    if verb in ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"):
        return [words[1].decode()]
    found: list[str] = client.execute_command("COMMAND GETKEYS", *words)
    return found


async def use_everything(broker: RedisBroker) -> None:
    """Run an app that does all there is to do with a broker."""
    app = Aarq(broker, name="app")

    @app.task(name="work", retries=1, retry_delay=0, jitter=0)
    async def work(ctx: dict[str, Any], fail: bool) -> int:
        if fail and ctx["attempt"] == 1:
            raise ValueError("once")
        attempt: int = ctx["attempt"]
        return attempt

    async with app:
        jobs = [await work.enqueue(fail) for fail in (False, True)]
        late = await work.options(defer_by=60).enqueue(False)
        await Worker(app, burst=True, handle_signals=False).run()
        assert [await job.result(timeout=5) for job in jobs] == [1, 2]
        assert await late.cancel() is True
        assert await broker.retry_job(late.id, queue="default") is True
        assert len(await broker.list_jobs("default", JobState.COMPLETED)) == 2
        assert [stats.pending for stats in await broker.queue_stats()] == [1]
        assert await broker.list_workers() == []
        assert await work_of(broker, "default", timeout=1) == [late.id]
        assert await work_of(broker, "default", timeout=0.05) == []
        await use_the_ledger(broker)


async def use_the_ledger(broker: RedisBroker) -> None:
    """Make every call that deals with ticks, and those of workers that crash."""
    await broker.register_crons("app", "1", [entry()], ttl=60)
    await broker.renew_registration("app", "1", ttl=60)
    tick = await broker.time() + 0.5
    assert (await broker.claim_tick(bid(tick, job=job("t")))).outcome is TickOutcome.WON
    await broker.extend_runs([run_of(tick)], seconds=60)
    await broker.record_ticks([record(tick)])
    await broker.pause_cron(KEY, note="", by="me")
    await broker.resume_cron(KEY)
    assert len(await broker.cron_statuses()) == 1
    assert await broker.tick_history(KEY)
    lease = await lease_of(broker, "l")
    assert await broker.extend([lease], seconds=60) == []
    assert await broker.reap(["q"]) == []
    assert await broker.wait_for_result("l", queue="q", timeout=0.01) is False


async def test_broker_commands_stay_in_namespace(
    redis_server: RedisServer, namespace: str, raw: Any, make_broker: Callable[..., RedisBroker]
) -> None:
    """Keys and channels of a command begin with `{namespace`, and the broker never searches or flushes a database."""
    with watched(redis_server) as seen:
        await use_everything(make_broker())
    assert len(seen) > 100
    assert {words[0].upper().decode() for words in seen} & FORBIDDEN == set()
    mine = tuple(f"{{{namespace}{end}" for end in (":", "}"))
    for words in seen:
        assert [key for key in keys_in(raw, words) if not key.startswith(mine)] == [], words


async def test_broker_two_namespaces_are_separate(
    namespace: str, raw: Any, make_broker: Callable[..., RedisBroker]
) -> None:
    """Apps do not see the jobs of each other if one namespace is a prefix of the other, or if job ids are equal."""
    ours, theirs = make_broker(), make_broker(namespace=f"{namespace}-2")
    for broker, answer in ((ours, 1), (theirs, 2)):
        app = Aarq(broker, name="app")

        @app.task(name="work")
        async def work(_: object) -> None: ...

        await app.enqueue_many([work.options(job_id=f"same-{n}").call() for n in range(answer)])
    assert [stats.pending for stats in await ours.queue_stats()] == [1]
    assert [stats.pending for stats in await theirs.queue_stats()] == [2]
    assert await ours.get_job("same-1", queue="default") is None
    assert await ours.cancel_job("same-0", queue="default") is True
    record = await theirs.get_job("same-0", queue="default")
    assert record is not None
    assert record.state is JobState.PENDING


@pytest.fixture
def namespace(namespace: str, raw: Any) -> Iterator[str]:
    """A namespace, and one whose name begins with it; both are empty after the test."""
    yield namespace
    for key in raw.scan_iter(f"{{{namespace}-2*"):
        raw.delete(key)
