"""Counts of jobs in Redis: their room, and what another program may have left in their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioq.errors import BrokerConfigError, BrokerFull
from aioq.model.statistics import BUCKETS, Count, JobOutcome, Step, period_of
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import Layout
from tests.redis.virtual import CLOCK_KEY
from tests.servers import RedisServer

LIMIT = 80_000
"""Bytes of a series that was counted in each of its periods."""

EACH_BUCKET = (1,) * (len(BUCKETS) + 1)


def count(start: float, number: int = 1, **changes: Any) -> Count:
    """Return a count of a minute, with as many jobs in each bucket of both histograms."""
    every = tuple(number * one for one in EACH_BUCKET)
    fields: dict[str, Any] = {
        "queue": "q", "task": "tasks.work", "outcome": JobOutcome.COMPLETED, "start": period_of(start, Step.MINUTE),
        "count": sum(every), "wait": 300.0 * sum(every), "duration": 300.0 * sum(every), "waits": every,
        "durations": every,
    }  # fmt: skip
    return Count(**{**fields, **changes})


async def report(broker: RedisBroker, counts: list[Count]) -> None:
    """Report counts, 100 at a time."""
    for number, first in enumerate(range(0, len(counts), 100), 1):
        await broker.add_counts(counts[first : first + 100], reporter="test", number=number)


def key_of(namespace: str) -> str:
    """Return the key of the series of `count`."""
    return Layout(namespace).fleet.key("counts:q:completed:tasks.work")


@pytest.mark.parametrize("number", [1, 100, 10_000, 1_000_000])
async def test_series_active_in_all_periods_fits_into_its_limit(
    broker: RedisBroker, raw: Any, namespace: str, number: int
) -> None:
    """Three hours of minutes and 30 days of hours, with all buckets in use, take 80 KB at most."""
    now = await broker.time()
    hours = [count(now - ago * Step.HOUR, number) for ago in range(Step.HOUR.kept)]
    minutes = [count(now - ago * Step.MINUTE, number) for ago in range(Step.MINUTE.kept)]
    await report(broker, hours + minutes)
    found = [await broker.read_counts(step=step, start=0, end=now + 3600) for step in Step]
    assert [len(counts) for counts in found] == [Step.MINUTE.kept, Step.HOUR.kept]
    assert raw.memory_usage(key_of(namespace), 0) <= LIMIT


async def test_empty_periods_take_no_room(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A series that was counted in one minute has two fields of a few bytes, and one without times still less."""
    now = await broker.time()
    bare = count(now, outcome=JobOutcome.ENQUEUED, wait=0, duration=0, waits=(), durations=())
    await report(broker, [count(now), bare])
    keys = [key_of(namespace), key_of(namespace).replace("completed", "enqueued")]
    sizes = [sorted(len(value) for value in raw.hgetall(key).values()) for key in keys]
    assert sizes == [[2 + 9, 2 + 9 + 2 * len(EACH_BUCKET)], [3, 3]]


@pytest.mark.usefixtures("virtual_time")
async def test_old_fields_are_removed(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A series that is counted for months has as many fields as after one."""
    start = int(raw.get(CLOCK_KEY)) / 1000
    for number, hour in enumerate(range(0, 24 * 75, 3), 1):
        raw.set(CLOCK_KEY, round((start + hour * 3600) * 1000))
        await broker.add_counts([count(start + hour * 3600)], reporter="test", number=number)
    fields = [name[:1] for name in raw.hkeys(key_of(namespace))]
    assert (fields.count(b"m"), fields.count(b"h")) == (2, 37)


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\xff\x80\x80", b"\xff" * 300, b"not a count"], ids=len)
async def test_damaged_counts_do_not_stop_reports(
    broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool], value: bytes
) -> None:
    """Whatever another program has written into a field or the index, counts are added to it and read."""
    tampered.append(True)
    now = await broker.time()
    layout = Layout(namespace).fleet
    for field in (f"m{int(now // 3600)}", f"h{int(now // 72_000)}", "h", "mx", "h-1", "\udcff"):
        raw.hset(key_of(namespace), field.encode("utf-8", "surrogateescape"), value)
    raw.zadd(layout.key("counted"), {value: 10**15, b"q:completed:tasks.work": 10**15, b"q:other:x": 10**15})
    raw.set(layout.key("reported:test"), value)
    await report(broker, [count(now)])
    start = period_of(now, Step.MINUTE)
    (minute,) = await broker.read_counts(step=Step.MINUTE, start=start, end=now + 60, task="tasks.work")
    assert minute.count >= len(EACH_BUCKET)


async def test_key_of_another_type_is_named(
    broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool]
) -> None:
    """A key of another type is an error that names the key."""
    tampered.append(True)
    raw.set(key_of(namespace), "x")
    with pytest.raises(BrokerConfigError, match="counts:q:completed:tasks.work is a string and should be a hash"):
        await report(broker, [count(await broker.time())])


async def test_full_server_counts_nothing(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A full server refuses a report as a whole, and counts it once when it has room again."""
    server = start_server()
    broker = make_broker(server.url)
    now = await broker.time()
    with server.client() as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(BrokerFull):
            await report(broker, [count(now)])
        client.config_set("maxmemory", "0")
    assert await broker.read_counts(step=Step.HOUR, start=0, end=now + 3600) == []
    await report(broker, [count(now)])
    (hour,) = await broker.read_counts(step=Step.HOUR, start=0, end=now + 3600)
    assert hour.count == len(EACH_BUCKET)


async def test_reports_and_series_expire(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """The number of a report is kept for an hour, and counts for 30 days."""
    await report(broker, [count(await broker.time())])
    fleet = Layout(namespace).fleet
    hour, month = 3_600_000, 30 * 86_400_000
    assert hour - 60_000 < raw.pttl(fleet.key("reported:test")) <= hour
    for name in ("counted", "counts:q:completed:tasks.work"):
        assert month - 60_000 < raw.pttl(fleet.key(name)) <= month
