"""What the scripts store about the signs of life of workers, and what they do when the server's clock is set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from aioq.model.outage import SignsOfLife, forgives, note_extended, note_sign, reapable
from aioq_redis import RedisBroker
from aioq_redis.jobs.reap import ServerClock
from aioq_redis.storage.keys import Layout
from tests.redis.job_helpers import claim, job
from tests.redis.virtual import CLOCK_KEY, pass_time

HOUR = 3600.0


@pytest.fixture
def queue(namespace: str) -> Callable[[str], str]:
    """Return the full name of a key of queue `q`."""
    return Layout(namespace).queue("q").key


def stored(raw: Any, key: str) -> SignsOfLife:
    """Return the signs that the scripts have stored, in milliseconds."""
    *moments, survived = map(int, raw.get(key).split())
    return SignsOfLife(**dict(zip(SignsOfLife.__struct_fields__, moments, strict=False)), survived=survived == 1)


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("seed", range(5))
async def test_scripts_decide_as_the_core(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], seed: int
) -> None:
    """The scripts store and decide after each call what the functions of the core do, also when the clock is set."""
    random = Random(seed)
    await broker.enqueue([job("a"), job("b", max_crashes=999)])
    model: SignsOfLife | None = None
    leases = {lease.job_id: lease for lease in await claim(broker, lease=0.5)}
    claimed = dict.fromkeys(leases, int(raw.get(CLOCK_KEY)))
    for _ in range(100):
        pass_time(raw, random.choice([0.1, 0.9, 3.9, 4.0, 4.1, 8.1, 20.0, -4.9, -5.1, -HOUR]))
        now, lease = int(raw.get(CLOCK_KEY)), random.choice([6.0, 12.0])
        model = note_sign(model, now, lease=lease * 1000)
        if random.random() < 0.5 and leases:
            lost = await broker.extend([leases["a"]], seconds=lease)
            model = model if lost else note_extended(model, [claimed["a"]])
        else:
            scores = dict(raw.zrange(queue("leased"), 0, -1, withscores=True))
            reaped = await broker.reap(["q"], lease=lease)
            for one in reaped:
                deadline = int(scores[one.job_id.encode()])
                # A deadline that lay ahead was moved, because the clock was set back.
                assert deadline > now or deadline <= reapable(model, now)
                assert deadline > now or one.crashed != forgives(model, deadline)
        assert stored(raw, queue("signs")) == model
        for fresh in await claim(broker, lease=random.choice([0.5, 12.0])):
            leases[fresh.job_id], claimed[fresh.job_id] = fresh, now


@pytest.mark.usefixtures("virtual_time")
async def test_reap_clock_forward_an_hour_takes_no_job(broker: RedisBroker, raw: Any) -> None:
    """After a step forward all leases have run out, but workers can extend theirs before they are reaped."""
    await broker.enqueue([job("a"), job("b")])
    held, _ = await claim(broker, lease=30.0)
    await broker.reap(["q"])
    pass_time(raw, HOUR)
    assert await broker.reap(["q"]) == []
    assert await broker.extend([held], seconds=30.0) == []
    for _ in range(3):
        pass_time(raw, 10)
        assert await broker.extend([held], seconds=30.0) == []
    assert [(one.job_id, one.crashed) for one in await broker.reap(["q"])] == [("b", False)]


@pytest.mark.usefixtures("virtual_time")
async def test_reap_clock_back_an_hour_takes_jobs_of_crashed_workers(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str]
) -> None:
    """After a step back the leases of a crashed worker run out within two leases, and not an hour later."""
    await broker.enqueue([job("a"), job("b", priority=9)])
    _, held = await claim(broker, lease=30.0)
    assert held.job_id == "a"
    await broker.reap(["q"])
    pass_time(raw, -HOUR)
    assert await broker.reap(["q"]) == []
    reaped: list[str] = []
    for _ in range(6):
        assert await broker.extend([held], seconds=30.0) == []
        pass_time(raw, 10)
        reaped += [one.job_id for one in await broker.reap(["q"])]
    assert reaped == ["b"]
    assert [lease.priority for lease in await claim(broker)] == [9]
    deadline = raw.zscore(queue("leased"), "a")
    assert 0 < deadline - int(raw.get(CLOCK_KEY)) < 31_000


@pytest.mark.parametrize(("step", "text"), [(HOUR, "went forward by 3599"), (-HOUR, "was set back by 3600")])
def test_server_clock_warns_once_of_step(step: float, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A step of the clock is one warning, for all queues of the server."""
    clock = ServerClock("redis://server")
    for queue in ("q", "r"):
        clock.read(queue, 1e9, asked=10.0, answered=10.01)
    with caplog.at_level(logging.WARNING, "aioq.redis"):
        for later in (20.0, 30.0):
            for queue in ("q", "r"):
                clock.read(queue, 1e9 + later - 10 + step, asked=later, answered=later + 0.5)
    assert len(caplog.messages) == 1
    assert f"the clock of redis://server {text}" in caplog.text


def test_server_clock_slow_answer_is_no_step(caplog: pytest.LogCaptureFixture) -> None:
    """The server read its clock at some moment before the answer."""
    clock = ServerClock("redis://server")
    clock.read("q", 1e9, asked=10.0, answered=10.01)
    clock.read("q", 1e9 + 29, asked=20.0, answered=40.0)
    clock.read("q", 1e9 + 40, asked=50.0, answered=50.01)
    assert caplog.messages == []


async def test_reap_missing_run_record_puts_job_back(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str]
) -> None:
    """A job whose run record is gone is put back, with a crash, and no earlier lease can settle or extend it."""
    await broker.enqueue([job("a", priority=7)])
    (lost,) = await claim(broker, lease=0.001)
    raw.hdel(queue("runs"), "a")
    raw.zadd(queue("leased"), {"a": 1.125})
    (reaped,) = await broker.reap(["q"])
    assert (reaped.job_id, reaped.worker_id, reaped.crashed, reaped.crashes) == ("a", "", True, 1)
    (again,) = await claim(broker)
    assert (again.job_id, again.attempt, again.crashes, again.priority) == ("a", 2, 1, 7)
    assert again.epoch > lost.epoch
    assert await broker.extend([lost, again], seconds=60) == [lost]
