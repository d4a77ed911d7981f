"""The checks of the doctor for the keys of one queue: each kind of damage has a finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioq.model.health import Finding, Level
from aioq.model.job import Completed, Dead, Retried
from aioq_redis import RedisBroker
from tests.redis.job_helpers import FAILURE, claim, job

Damage = Callable[[Any, Callable[[str], str]], Any]


@pytest.fixture
def queue(namespace: str, tampered: list[bool]) -> Callable[[str], str]:
    """Name the keys of queue `q`, for a test that writes what it should not."""
    tampered.append(True)
    return lambda name: f"{{{namespace}:q}}:{name}"


async def fill(broker: RedisBroker) -> None:
    """Leave jobs in every place: `in` line, `later`, `running`, `again` after a failure, and `done` and `dead` ones."""
    names = ("done", "dead", "again", "running")
    await broker.enqueue([job(id) for id in names])
    done, dead, again, _ = await claim(broker)
    await broker.settle(
        [
            Completed(lease=done, result=b"1", retain_for=60.0),
            Dead(lease=dead, reason="malformed"),
            Retried(lease=again, delay=60.0, failure=FAILURE),
        ]
    )
    await broker.enqueue([job("in"), job("called-off"), job("later", delay=60.0)])
    await broker.cancel_job("called-off", queue="q")


def leaks(findings: list[Finding]) -> list[tuple[Level, str]]:
    """Return what is wrong with the queue itself."""
    of_queue = [finding for finding in findings if finding.subject == "queue q" and finding.level is not Level.OK]
    usual = ("dead jobs are stored", "no worker that is up consumes")
    return [(one.level, one.text) for one in of_queue if not any(words in one.text for words in usual)]


async def test_leaks_sound_queue_has_none(broker: RedisBroker) -> None:
    """A queue with jobs in every state has no finding."""
    await fill(broker)
    assert leaks(await broker.diagnose()) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            lambda raw, key: raw.rpush(key("ready:5"), "ghost"),
            [(Level.WARN, "ids without a job are in ready, due or leased: ghost")],
        ),
        (
            lambda raw, key: raw.zadd(key("due"), {"ghost": 1.0}),
            [(Level.WARN, "ids without a job are in ready, due or leased: ghost")],
        ),
        (
            lambda raw, key: raw.rpush(key("ready:7"), "in"),
            [(Level.WARN, "jobs are in two of ready, due and leased: in")],
        ),
        (
            lambda raw, key: raw.rpush(key("ready:7"), "running"),
            [(Level.WARN, "jobs are in two of ready, due and leased: running")],
        ),
        (
            lambda raw, key: raw.lrem(key("ready:5"), 0, "in"),
            [(Level.FAIL, "jobs are in none of ready, due and leased, and never run: in")],
        ),
        (
            lambda raw, key: raw.sadd(key("cancelled_ids"), "nobody"),
            [(Level.WARN, "cancelled ids are in no ready list: nobody")],
        ),
        (
            lambda raw, key: raw.hset(key("runs"), "ghost", "p0 1 1 1 0 1 w"),
            [(Level.WARN, "runs without a job are stored: ghost")],
        ),
        (
            lambda raw, key: (raw.zrem(key("leased"), "running"), raw.zadd(key("due"), {"running": 1e13})),
            [(Level.FAIL, "running jobs have no lease, and never run again: running")],
        ),
        (
            lambda raw, key: raw.hdel(key("runs"), "running"),
            [(Level.WARN, "leases without a running job are stored: running")],
        ),
        (
            lambda raw, key: raw.hset(key("attempts"), "running", "{}"),
            [(Level.WARN, "attempts of jobs that have none are stored: running")],
        ),
        (
            lambda raw, key: raw.hdel(key("attempts"), "again"),
            [(Level.WARN, "jobs that had attempts have none stored: again")],
        ),
        (
            lambda raw, key: raw.zrem(key("completed"), "done"),
            [(Level.WARN, "records of ended jobs are in no index, so nothing removes them: done")],
        ),
        (
            lambda raw, key: (raw.zrem(key("completed"), "done"), raw.zadd(key("failed"), {"done": 1e13})),
            [(Level.WARN, "records of ended jobs are in the index of another state: done")],
        ),
        (
            lambda raw, key: raw.hdel(key("ended"), "dead"),
            [(Level.WARN, "ended jobs have no record: dead")],
        ),
        (
            lambda raw, key: raw.zadd(key("failed"), {"dead": 1e13, "other": 1e13}) and raw.zrem(key("failed"), "other"),
            [(Level.WARN, "1 ended jobs are in the indexes of two states")],
        ),
        (
            lambda raw, key: (raw.hset(key("ended"), "in", "c1 "), raw.zadd(key("completed"), {"in": 1e13})),
            [(Level.WARN, "jobs are stored both as ended and as not ended: in")],
        ),
        (
            lambda raw, key: (raw.delete(key("wake")), raw.rpush(key("wake"), *["1"] * 101)),
            [(Level.WARN, "101 wake tokens are stored; the limit is 100")],
        ),
    ],
)  # fmt: skip
async def test_leaks_damaged_key_is_reported(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], damage: Damage, found: list[tuple[Level, str]]
) -> None:
    """The one finding names the jobs that the damage concerns."""
    await fill(broker)
    damage(raw, queue)
    assert leaks(await broker.diagnose()) == found


async def test_leaks_many_ids_are_shown_on_one_line(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """The finding shows the first of many ids as printable text, whatever their bytes."""
    raw.rpush(queue("ready:5"), b"\x1b[31m\n", b"\xff", *(f"ghost-{n}" for n in range(2000)))
    ((_, text),) = leaks(await broker.diagnose())
    assert text.isprintable()
    assert text.endswith(r"1,000, for example \x1b[31m\n, ghost-0, ghost-1")


async def test_leaks_long_queue_counts_missing_jobs(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """The doctor compares the sizes of keys that are too long to read."""
    await broker.enqueue([job(f"job-{n}") for n in range(1500)])
    assert leaks(await broker.diagnose()) == []
    for _ in range(3):
        raw.lpop(queue("ready:5"))
    assert leaks(await broker.diagnose()) == [
        (Level.FAIL, "at least 3 jobs are in none of ready, due and leased, and never run")
    ]


async def test_leaks_many_records_without_index_are_counted(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str]
) -> None:
    """The doctor counts records of ended jobs that are in no index, if there are too many to read."""
    raw.hset(queue("ended"), mapping={f"job-{n}": "c1 1 1 -1 \n\n1 tasks.work \n{}" for n in range(2001)})
    raw.expire(queue("ended"), 60)
    ((level, text),) = leaks(await broker.diagnose())
    assert (level, text) == (
        Level.WARN, "at least 2,001 records of ended jobs are in no index, so nothing removes them",
    )  # fmt: skip


async def test_diagnose_fix_removes_what_has_no_job(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """Orphans are removed and counted; jobs, and the records of ended jobs, stay."""
    await fill(broker)
    before = {name: set(raw.hkeys(queue(name))) for name in ("jobs", "runs", "attempts", "ended")}
    raw.hset(queue("ended"), mapping={f"ghost-{n}": "c1 1 1 -1 \n\n1 tasks.work \n{}" for n in range(500)})
    raw.hset(queue("runs"), mapping={"ghost": "p0 1 1 1 0 1 w"})
    raw.hset(queue("attempts"), mapping={"ghost": "{}"})
    removed = [one.text for one in await broker.diagnose(fix=True) if one.text.endswith("were removed")]
    assert removed == [
        "1 runs without a job were removed",
        "1 attempts without a job were removed",
        "500 records of ended jobs in no index were removed",
    ]
    assert {name: set(raw.hkeys(queue(name))) for name in before} == before
    assert leaks(await broker.diagnose(fix=True)) == []
