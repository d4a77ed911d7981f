"""The scripts for stored schedules do what the memory broker does with `aioq.model.firing`, in random sequences."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from aioq.backends import MemoryBroker
from aioq.model.cron import CronDefinition, CronKey, TickClaim, TickOutcome, TickRecord, TickStatus
from aioq.model.job import ClaimRequest, Completed, NewJob
from aioq.model.schedules import Firing, PutOutcome, ScheduleRecord, ScheduleText, StoredSchedule
from aioq.protocols import Broker
from aioq.testing import VirtualClock
from aioq_redis import RedisBroker
from tests.redis.virtual import CLOCK_KEY, pass_time

STEPS = int(os.environ.get("AIOQ_DECISIONS", "600"))
"""Random calls on each kind of server."""

START = 1_800_000_000.0
SEED = 12
NAMES = ("a", "b", "c")
TASKS = ("t.one", "t.two:x")

_numbers = count()


class Pair:
    """A memory broker and a Redis broker on one virtual time; each call is made on both, and the answers compared."""

    def __init__(self, memory: MemoryBroker, redis: RedisBroker, dice: random.Random) -> None:
        self.memory = memory
        self.redis = redis
        self.dice = dice
        self.reserved: list[ScheduleRecord] = []
        self.seen: Counter[object] = Counter()

    async def both(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Make a call on both brokers; return the answer, which must be the same."""
        expected = await getattr(self.memory, name)(*args, **kwargs)
        assert await getattr(self.redis, name)(*args, **kwargs) == expected, (name, args, kwargs)
        return expected

    async def put(self, now: float) -> None:
        """Put a schedule that often differs from the stored one a little."""
        dice, name = self.dice, self.dice.choice(NAMES)
        fingerprint = dice.choice(("one", "two"))
        definition = CronDefinition(
            queue="q",
            name=name,
            kind="schedule",
            expression=fingerprint,
            tz="UTC",
            fingerprint=fingerprint,
            unique=True,
        )
        job = NewJob(id=f"cron:{name}", task=dice.choice(TASKS), queue="q", payload=dice.choice((b"[1]", b"\x00\n ")))
        text = ScheduleText(expression=fingerprint, tz="UTC")
        app = dice.choice(("app", "app", "app", "other"))
        schedule = StoredSchedule(definition=definition, text=text, app=app, job=job)
        due = dice.choice((None, now - 1, now, now + 0.25, now + 5))
        self.seen[await self.both("put_schedule", schedule, revision=f"r{next(_numbers)}", due=due)] += 1

    async def reserve(self, _: float) -> None:
        """Reserve what is due; keep it for firings, also for those that come too late."""
        tasks = self.dice.choice((TASKS, TASKS[:1]))
        (expected, found) = [
            await one.reserve_schedules(["q"], tasks, limit=10, seconds=1.0) for one in (self.memory, self.redis)
        ]
        names = [sorted(record.schedule.key.name for record in due.schedules) for due in (expected, found)]
        assert names[0] == names[1]
        assert found.now == expected.now
        # Redis may still have the moment of a schedule whose task was replaced: its worker asks once in vain.
        if expected.next_due is not None:
            assert found.next_due is not None
            assert found.next_due <= expected.next_due
        self.reserved = [*self.reserved[-5:], *expected.schedules]

    async def fire(self, now: float) -> None:
        """Fire schedules that were reserved now or earlier."""
        chosen = {record.schedule.key: record for record in self.dice.sample(self.reserved, min(2, len(self.reserved)))}
        if firings := [self._firing(record, now) for record in chosen.values()]:
            self.seen.update(await self.both("fire_schedules", firings))

    def _firing(self, record: ScheduleRecord, now: float) -> Firing:
        dice, definition = self.dice, record.schedule.definition
        ticks = tuple(sorted({now - dice.choice((-2.0, -0.5, 0.0, 0.5, 1.0)) for _ in range(dice.randrange(3))}))
        until = ticks[-1] if ticks else dice.choice((None, now))
        missed = TickRecord(
            name=definition.name, queue="q", tick=now - 3, status=TickStatus.MISSED, reason="why", count=2
        )
        claim = TickClaim(
            name=definition.name, queue="q", ticks=ticks, fingerprint=definition.fingerprint, worker_id="w",
            request_id=f"f{next(_numbers)}", overlap=dice.choice(("allow", "skip", "queue_one", "cancel")),
            job=record.schedule.job,
        )  # fmt: skip
        return Firing(
            claim=claim, revision=record.revision, due=record.due or 0.0, until=until,
            next_due=dice.choice((None, now + 0.25, now + 2)), not_fired=dice.choice(((), (missed,))),
        )  # fmt: skip

    async def register(self, _: float) -> None:
        """Let the code of an app declare some of the names, or none."""
        entries = [
            CronDefinition(queue="q", name=name, kind="cron", expression="x", tz="UTC", fingerprint="one", unique=True)
            for name in self.dice.sample(NAMES, self.dice.choice((0, 0, 1)))
        ]
        await self.both("register_crons", "app", "1", entries, ttl=60)

    async def steer(self, _: float) -> None:
        """Remove, pause or resume."""
        key = CronKey("q", self.dice.choice(NAMES))
        match self.dice.randrange(6):
            case 0:
                await self.both("remove_schedule", key)
            case 1:
                await self.both("pause_cron", key, note="n", by="me")
            case _:
                await self.both("resume_cron", key)

    async def work(self, _: float) -> None:
        """Complete some jobs."""
        request = ClaimRequest(worker_id="w", queues=("q",), limit=3, lease=600, request_id=f"c{next(_numbers)}")
        brokers: tuple[Broker, Broker] = (self.memory, self.redis)
        leases = [(await one.claim(request)).leases for one in brokers]
        assert [lease.job_id for lease in leases[0]] == [lease.job_id for lease in leases[1]]
        for one, own in zip(brokers, leases, strict=True):
            await one.settle([Completed(lease=lease) for lease in own if len(lease.job_id) % 2])

    async def compare(self) -> None:
        """Compare all that is stored."""
        for name in NAMES:
            key = CronKey("q", name)
            await self.both("get_schedule", key)
            await self.both("tick_history", key)
            await self.both("cron_status", key)
        await self.both("list_schedules", "app")


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("virtual_time")
async def test_scripts_do_what_the_functions_decide(raw: Any, make_broker: Callable[..., RedisBroker]) -> None:
    """Answers, schedules, statuses and records are those of the memory broker after every call."""
    raw.set(CLOCK_KEY, round(START * 1000))
    clock, dice = VirtualClock(START), random.Random(SEED)
    pair = Pair(MemoryBroker(clock=clock), make_broker(), dice)
    steps = (pair.put, pair.reserve, pair.fire, pair.fire, pair.register, pair.steer, pair.work)
    for _ in range(STEPS):
        seconds = dice.choice((0.0, 0.0, 0.25, 1.5))
        clock.suspend(seconds)
        pass_time(raw, seconds)
        await dice.choice(steps)(clock.time())
        await pair.compare()
    outcomes = {TickOutcome.WON, TickOutcome.LOST, TickOutcome.EARLY, TickOutcome.PAUSED, TickOutcome.BUSY}
    # A test that reaches some rules only would prove little about the others.
    assert pair.seen.keys() >= outcomes | {TickOutcome.SUPERSEDED} | set(PutOutcome), pair.seen


async def test_reservation_tells_the_time_exactly(broker: RedisBroker) -> None:
    """Workers set their clocks by the answer: a rounded time would make all entries of the fleet fire later."""
    for _ in range(20):
        before = await broker.time()
        due = await broker.reserve_schedules(["q"], TASKS, limit=1, seconds=1.0)
        assert before <= due.now <= await broker.time()
