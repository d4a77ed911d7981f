"""Every kind of key of a queue, forged in every way: the other jobs go on, and nothing of them is lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterator
from itertools import chain
from typing import Any, TypeAlias

import pytest

from aioq.errors import BrokerConfigError
from aioq.model.job import Completed, Dead, Expired, Failed, Lease, Retried, Settled
from aioq.model.states import JobState
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import FLEET, TYPES
from tests import servers
from tests.redis.job_helpers import FAILURE, claim, job, let_pass, request

pytestmark = pytest.mark.usefixtures("_tampered")

VALUES = [b"", b"\xff\x00", b"9" * 400, b"-1", b"nan", b"{}", b"x\n\n\n", b"x" * 1_000_000, b"r5 1", b"s1 1 1 1"]
SCORES = [-math.inf, math.inf, -1e300, 1e300, -1.5, 1e17]
STATES = (
    "ready",
    "due",
    "run",
    "retrying",
    "crashed",
    "suspect",
    "completed",
    "failed",
    "dead",
    "expired",
    "cancelled",
)
QUEUE_KEYS = sorted(name for name in TYPES if name not in FLEET | {"cron", "ticks"})


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do: what the scripts make of a value does not depend on it."""
    return servers.first()


@pytest.fixture
def _tampered(tampered: list[bool]) -> None:
    """The tests write to keys."""
    tampered.append(True)


Command: TypeAlias = tuple[Any, ...]


class Field:
    """A queue with a victim and a healthy job in each state, and what a client can do with them."""

    def __init__(self, broker: RedisBroker, raw: Any, namespace: str) -> None:
        self.broker, self.raw, self.namespace = broker, raw, namespace
        self.leases: dict[str, Lease] = {}
        self.errors: list[str] = []

    async def fill(self) -> None:
        """Put a job of each state into the queue, twice."""
        for role in ("victim", "healthy"):
            for state in ("crashed", "suspect"):
                await self.crash(f"{role}-{state}", times=1 if state == "crashed" else 2)
        ids = [f"{role}-{state}" for role in ("victim", "healthy") for state in STATES[2:]]
        await self.broker.enqueue([job(id, priority=9) for id in ids if "crashed" not in id and "suspect" not in id])
        self.leases = {lease.job_id: lease for lease in await claim(self.broker, 100) if lease.priority == 9}
        for role in ("victim", "healthy"):
            await self.end(role)
            await self.broker.enqueue([job(f"{role}-ready"), job(f"{role}-due", delay=600.0)])
            await self.broker.wait_for_result(f"{role}-ready", queue="q", timeout=0.001)

    async def end(self, role: str) -> None:
        """End the claimed jobs of a role, each in another way."""
        of = {state: self.leases[f"{role}-{state}"] for state in STATES if f"{role}-{state}" in self.leases}
        await self.broker.settle([
            Completed(lease=of["completed"], result=b"1", retain_for=600),
            Failed(lease=of["failed"], failure=FAILURE, retain_for=600),
            Dead(lease=of["dead"], reason="malformed", failure=FAILURE),
            Expired(lease=of["expired"], failure=FAILURE),
            Retried(lease=of["retrying"], delay=600, failure=FAILURE),
            Retried(lease=of["cancelled"], delay=0, failure=FAILURE),
        ])  # fmt: skip
        await self.broker.cancel_job(f"{role}-cancelled", queue="q")

    async def crash(self, id: str, *, times: int) -> None:
        """Let a worker crash with a job."""
        await self.broker.enqueue([job(id)])
        for _ in range(times):
            await self.broker.claim(request(1, lease=0.001, worker="gone"))
            await let_pass(self.broker, 0.005)
            await self.broker.reap(["q"], lease=0.001)

    def key(self, name: str) -> str:
        """Return the key of a name; of keys with owners one that exists, if there is one."""
        full = f"{{{self.namespace}:q}}:{name}"
        if name == "ready":
            return f"{full}:5"
        if name in ("claim", "memo"):
            found: list[bytes] = [*self.raw.keys(f"{full}:*"), f"{full}:x".encode()]
            return max(found).decode()
        return full

    async def use(self) -> None:
        """Do everything that clients, workers and commands do, for all other jobs and for another queue."""
        broker, healthy = self.broker, self.leases["healthy-run"]
        await self.agree(broker.enqueue([job("new")]), [True], [False])
        await self.agree(
            broker.enqueue([job("new"), job("new2", delay=1.0)]), [False, True], [False, False], [True, True]
        )
        await self.agree(broker.extend([healthy], seconds=600), [])
        await self.agree(broker.cancel_job("healthy-due", queue="q"), True, False)
        await self.agree(broker.retry_job("healthy-dead", queue="q"), True, False)
        for state in STATES:
            await self.agree(broker.get_job(f"victim-{state}", queue="q"))
            await self.agree(broker.get_job(f"healthy-{state}", queue="q"))
        for state in JobState:
            await self.agree(broker.list_jobs("q", state))
        await self.agree(broker.list_dead_jobs("q"))
        await self.agree(broker.queue_stats())
        await self.agree(broker.reap(["q"]))
        await self.agree(broker.claim(request(3)))
        await self.agree(broker.wait_and_claim(request(3, worker="w2"), timeout=0.001))
        await self.agree(
            broker.settle([Completed(lease=healthy, result=b"1", retain_for=600)]), [Settled.DONE], [Settled.STALE]
        )
        await self.agree(broker.settle([Completed(lease=self.leases["victim-run"], retain_for=600)]))
        for state in STATES:
            await self.agree(broker.cancel_job(f"victim-{state}", queue="q"))
            await self.agree(broker.retry_job(f"victim-{state}", queue="q"))
        await self.agree(broker.diagnose())
        await self.use_other_queue()

    async def use_other_queue(self) -> None:
        """Run a job of another queue, which nothing may hinder."""
        await self.broker.enqueue([job("x", queue="other")])
        (lease,) = (await self.broker.claim(request(1, queues=("other",), worker="w3"))).leases
        assert await self.broker.settle([Completed(lease=lease)]) == [Settled.DONE]

    async def agree(self, call: Coroutine[Any, Any, Any], *answers: object) -> None:
        """Insist that a call gives one of the answers, if there are any, or raises the one error that names the key."""
        async with asyncio.timeout(10):
            try:
                answer = await call
            except BrokerConfigError as error:
                self.errors.append(str(error))
                return
        assert not answers or answer in answers, answer

    async def all_are_there(self) -> None:
        """Insist that no healthy job is lost, and that those in line can be claimed."""
        missing = [state for state in STATES if await self.broker.get_job(f"healthy-{state}", queue="q") is None]
        assert missing == []
        for turn in range(20):
            await self.broker.claim(request(10, worker=f"last{turn}"))
        for state in ("ready", "dead", "crashed", "suspect"):
            record = await self.broker.get_job(f"healthy-{state}", queue="q")
            assert record is not None
            assert record.state in (JobState.RUNNING, JobState.COMPLETED, JobState.DEAD), record


@pytest.fixture
async def field(broker: RedisBroker, raw: Any, namespace: str) -> Field:
    """A queue with jobs in all states."""
    field = Field(broker, raw, namespace)
    await field.fill()
    return field


def clear(field: Field) -> None:
    """Remove all keys of the namespace."""
    field.raw.delete(*field.raw.keys(f"{{{field.namespace}*"))


def forge_string(raw: Any, key: str) -> Iterator[Command]:
    """Yield commands that change a string."""
    yield from (("SET", key, value, "EX", 600) for value in VALUES)


def forge_hash(raw: Any, key: str) -> Iterator[Command]:
    """Yield commands that change or remove fields of victims, and add fields."""
    for victim in sorted(victim for victim in raw.hkeys(key) if victim.startswith(b"victim"))[:4]:
        stored = raw.hget(key, victim)
        cut = (stored[: len(stored) // 2], stored.replace(b"1", b"x"), stored.replace(b" ", b""))
        yield from (("HSET", key, victim, value) for value in (*VALUES, *cut))
        yield "HDEL", key, victim
    yield from (("HSET", key, value[:1000], value) for value in VALUES)


def forge_zset(raw: Any, key: str) -> Iterator[Command]:
    """Yield commands that change scores of victims, and add members."""
    victims = [victim for victim in raw.zrange(key, 0, -1) if b"healthy" not in victim][:2]
    for score in SCORES:
        yield "ZADD", key, *chain.from_iterable((score, victim) for victim in (*victims, b"foreign"))
    yield from (("ZADD", key, 1, value) for value in VALUES)


def forge_list(raw: Any, key: str) -> Iterator[Command]:
    """Yield commands that add ids to a list."""
    yield from (("RPUSH", key, value) for value in (*VALUES, b"victim-ready", b"victim-run", b"victim-dead"))


def forge_set(raw: Any, key: str) -> Iterator[Command]:
    """Yield commands that add ids to a set."""
    yield from (("SADD", key, value) for value in (*VALUES, b"victim-ready", b"victim-run", b"victim-dead"))


FORGE = {"string": forge_string, "hash": forge_hash, "zset": forge_zset, "list": forge_list, "set": forge_set}


@pytest.mark.parametrize("name", QUEUE_KEYS)
async def test_forged_content_stops_no_other_job(field: Field, name: str) -> None:
    """Whatever the key has, every call on the other jobs succeeds."""
    key, forge = field.key(name), FORGE[TYPES[name]]
    for n in range(len(list(forge(field.raw, key)))):
        clear(field)
        await field.fill()
        key = field.key(name)
        command = list(forge(field.raw, key))[n]
        field.raw.execute_command(*command)
        field.errors.clear()
        try:
            await field.use()
            assert field.errors == []
            await field.all_are_there()
        except Exception as error:
            error.add_note(str([part[:100] if isinstance(part, bytes) else part for part in command]))
            raise


@pytest.mark.parametrize("name", sorted(TYPES))
async def test_forged_type_is_named_and_loses_nothing(field: Field, name: str) -> None:
    """A key of another type gives one error that names it. When it is right again, all jobs are there."""
    key = f"{{{field.namespace}}}:{name}:shop" if name in FLEET else field.key(name)
    key = key.removesuffix(":shop") if name in FLEET - {"crons", "version", "worker"} else key
    stored = field.raw.dump(key)
    field.raw.delete(key)
    if TYPES[name] == "string":
        field.raw.rpush(key, "foreign")
    else:
        field.raw.set(key, "foreign")
    await field.use()
    assert all(f"key {key} is a" in error for error in field.errors), field.errors
    field.raw.delete(key)
    if stored:
        field.raw.restore(key, 0, stored)
    await field.all_are_there()
