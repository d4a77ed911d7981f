"""F18: the primary is killed, or demoted, and a replica takes its place. Workers find it by the sentinels."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq.errors import AioqError
from tests.chaos.apps.tasks import define
from tests.chaos.fleet import Seat
from tests.chaos.journal import Journal
from tests.chaos.load import Load, load_of
from tests.chaos.producer import NAMESPACE, Producer
from tests.chaos.stage import staged
from tests.chaos.verdict import Verdict, at_most, exactly
from tests.cluster import Sentinels
from tests.servers import RedisServer, found

__all__ = ["run"]

FOLLOWED = 10.0
"""Seconds within which a job begins that the new primary was given."""
LONG = 4
"""Jobs that take longer than a lease, and end before the blow; there is time for them in full size."""
BEHIND = 5
"""Jobs that a replica may be behind its primary when they are enqueued one by one."""


@dataclass(frozen=True, slots=True)
class _Case:
    how: str
    durability: str

    @property
    def replicas(self) -> int:
        """How many: of two, one is left when the other is promoted; a primary that is demoted becomes one itself."""
        return 2 if self.how == "killed" else 1


KILLED, DEMOTED = _Case("killed", "replica:1"), _Case("demoted", "replica:1")
CASES = [KILLED, DEMOTED, _Case("killed", "primary"), _Case("demoted", "primary")]


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """With a primary that is killed, and one that steps down; with enqueues that wait for a replica, and without."""
    cases, seconds = (CASES, 20.0) if full else ([DEMOTED], 5.0)
    return [_fail_over(case, load_of(full), seconds, seed, folder / f"{n}") for n, case in enumerate(cases)]


def _fail_over(case: _Case, load: Load, seconds: float, seed: int, folder: Path) -> Verdict:
    with ExitStack() as stack:
        watched = Sentinels(next(iter(found().values())), NAMESPACE, replicas=case.replicas)
        stack.callback(watched.close)
        watched.start()
        old = watched.primary()
        seats = [Seat(load.arguments()) for _ in range(2)]
        stage = stack.enter_context(staged(folder, seats, server=old, worker_url=watched.url))
        stage.producer = Producer(watched.url)
        stage.fleet.start()
        # Leases are extended by a way of their own, which has to find the primary too.
        long = stage.enqueue("nap", LONG, load.lease * 1.8) if seconds > load.lease * 6 else []
        caller = _Caller(watched, old, case, seconds, Random(f"{seed} F18"))
        asyncio.run(caller.run())
        stage.asked += caller.enqueued
        stage.server = watched.primary()
        outcome = stage.finish(patience=load.lease * 3 + 10)
    late = _followed(stage.journal, caller)
    between = sum(caller.struck <= at <= caller.over for at in caller.enqueued.values())
    may_lose = 0 if case.durability != "primary" else BEHIND + between
    return outcome.verdict(
        "F18", f"{case.how}, durability {case.durability}", seed=seed, late=late, may_lose=may_lose,
        errors=caller.errors,
        bars=[
            at_most("seconds until workers followed", late, FOLLOWED),
            exactly("jobs longer than a lease, before the blow, that were begun twice", _again(stage.journal, long), 0),
        ],
    )  # fmt: skip


def _again(journal: Journal, ids: Sequence[str]) -> int:
    """Return how many of these jobs were begun more than once."""
    begun = Counter(mark.job_id for mark in journal.read() if mark.what == "begin")
    return sum(begun[job_id] > 1 for job_id in ids)


def _followed(journal: Journal, caller: _Caller) -> float:
    """Return the seconds until the first job ran that was enqueued after the old primary was one no more."""
    given = {job_id for job_id, at in caller.enqueued.items() if at > caller.over}
    begun = [mark.at for mark in journal.read() if mark.what == "begin" and mark.job_id in given]
    return min(begun, default=float("inf")) - caller.struck


@dataclass(slots=True)
class _Caller:
    """Enqueues jobs one by one, and strikes the primary after a third of the time."""

    watched: Sentinels
    old: RedisServer
    case: _Case
    seconds: float
    random: Random
    struck: float = 0.0
    over: float = 0.0
    """When the old primary was one no more."""
    enqueued: dict[str, float] = field(default_factory=dict[str, float])
    """When the enqueue of each job was begun, for those that returned."""
    errors: int = 0

    async def run(self) -> None:
        """Enqueue for so many seconds."""
        broker = RedisBroker(self.watched.url, namespace=NAMESPACE, timeout=2.0, durability=self.case.durability)
        app = Aarq(broker, name="chaos")
        define(app, Journal(Path("/dev/null")))
        start, n = time.time(), 0
        async with app, asyncio.TaskGroup() as tasks:
            while time.time() < start + self.seconds:
                if not self.struck and time.time() > start + self.seconds / 3:
                    self.struck = time.time()
                    tasks.create_task(asyncio.to_thread(self._strike))
                n += 1
                await self._enqueue(app, f"job-{n}")
                await asyncio.sleep(self.random.uniform(0, 0.02))

    async def _enqueue(self, app: Aarq, job_id: str) -> None:
        at = time.time()
        try:
            await app.tasks["nap"].options(job_id=job_id).enqueue(0.05)
        except AioqError:  # whether it was stored is unknown: it is no job that anybody may count on
            self.errors += 1
        else:
            self.enqueued[job_id] = at

    def _strike(self) -> None:
        if self.case.how == "killed":
            self.old.kill()
            self.watched.fail_over()
        else:
            self._demote()
        self.over = time.time()

    def _demote(self) -> None:
        """Have another promoted, and the old one be its replica, which sentinels by themselves see to only later."""
        self.watched.fail_over()
        while (new := self.watched.primary()) is self.old:
            time.sleep(0.01)
        with self.old.client() as client:
            client.replicaof("127.0.0.1", new.port)
