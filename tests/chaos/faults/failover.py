"""F18: the primary is killed or demoted, and a replica replaces it. Workers find it through the sentinels."""

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
from tests.chaos.fault_result import FaultResult, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.job_log import JobLog
from tests.chaos.load import Load, load_of
from tests.chaos.producer import NAMESPACE, Producer
from tests.chaos.scenario import open_scenario
from tests.cluster import Sentinels
from tests.servers import RedisServer, found

__all__ = ["FAULT", "run"]

FAULT = "F18 failover"

FOLLOWED = 10.0
"""Seconds within which a job of the new primary begins."""
LONG = 4
"""Number of jobs that take longer than a lease and end before the failover; only in full size."""
BEHIND = 5
"""Number of jobs that a replica may lack when jobs are enqueued one by one."""


@dataclass(frozen=True, slots=True)
class _Case:
    how: str
    durability: str

    @property
    def replicas(self) -> int:
        """Return the number of replicas: a killed primary needs two, so that one is left after the promotion."""
        return 2 if self.how == "killed" else 1


KILLED, DEMOTED = _Case("killed", "replica:1"), _Case("demoted", "replica:1")
CASES = [KILLED, DEMOTED, _Case("killed", "primary"), _Case("demoted", "primary")]


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Kill or demote the primary, with enqueues that wait for a replica and enqueues that do not."""
    cases, seconds = (CASES, 20.0) if full else ([DEMOTED], 5.0)
    return [_fail_over(case, load_of(full), seconds, seed, folder / f"{n}") for n, case in enumerate(cases)]


def _fail_over(case: _Case, load: Load, seconds: float, seed: int, folder: Path) -> FaultResult:
    with ExitStack() as stack:
        watched = Sentinels(next(iter(found().values())), NAMESPACE, replicas=case.replicas)
        stack.callback(watched.close)
        watched.start()
        old = watched.primary()
        workers = [WorkerProcess(load.arguments()) for _ in range(2)]
        scenario = stack.enter_context(open_scenario(folder, workers, server=old, worker_url=watched.url))
        scenario.producer = Producer(watched.url)
        scenario.fleet.start()
        # Leases are extended over a separate connection, which has to find the primary too.
        long = scenario.enqueue("nap", LONG, load.lease * 1.8) if seconds > load.lease * 6 else []
        caller = _Caller(watched, old, case, seconds, Random(f"{seed} F18"))
        asyncio.run(caller.run())
        scenario.enqueued += caller.enqueued
        scenario.server = watched.primary()
        outcome = scenario.finish(timeout=load.lease * 3 + 10)
    late = _seconds_until_followed(scenario.job_log, caller)
    between = sum(caller.started_at <= at <= caller.over_at for at in caller.enqueued.values())
    may_lose = 0 if case.durability != "primary" else BEHIND + between
    return outcome.result(
        FAULT, f"{case.how}, durability {case.durability}", seed=seed, late=late, may_lose=may_lose,
        errors=caller.errors,
        bars=[
            at_most("seconds until workers followed", late, FOLLOWED, measured=True),
            exactly("jobs longer than a lease, before the failover, that began twice", _begun_twice(scenario.job_log, long), 0),
        ],
    )  # fmt: skip


def _begun_twice(job_log: JobLog, ids: Sequence[str]) -> int:
    """Return how many of these jobs began more than once."""
    begun = Counter(event.job_id for event in job_log.read() if event.kind == "begin")
    return sum(begun[job_id] > 1 for job_id in ids)


def _seconds_until_followed(job_log: JobLog, caller: _Caller) -> float:
    """Return the seconds until the first job began that was enqueued after the failover."""
    given = {job_id for job_id, at in caller.enqueued.items() if at > caller.over_at}
    begun = [event.at for event in job_log.read() if event.kind == "begin" and event.job_id in given]
    return min(begun, default=float("inf")) - caller.started_at


@dataclass(slots=True)
class _Caller:
    """Enqueues jobs one by one, and starts the failover after a third of the time."""

    watched: Sentinels
    old: RedisServer
    case: _Case
    seconds: float
    random: Random
    started_at: float = 0.0
    over_at: float = 0.0
    """When the old primary had lost its role."""
    enqueued: dict[str, float] = field(default_factory=dict[str, float])
    """When the enqueue of each job began, if it returned."""
    errors: int = 0

    async def run(self) -> None:
        """Enqueue jobs for `seconds` seconds."""
        broker = RedisBroker(self.watched.url, namespace=NAMESPACE, timeout=2.0, durability=self.case.durability)
        app = Aarq(broker, name="chaos")
        define(app, JobLog(Path("/dev/null")))
        start, n = time.time(), 0
        async with app, asyncio.TaskGroup() as tasks:
            while time.time() < start + self.seconds:
                if not self.started_at and time.time() > start + self.seconds / 3:
                    self.started_at = time.time()
                    tasks.create_task(asyncio.to_thread(self._fail_over))
                n += 1
                await self._enqueue(app, f"job-{n}")
                await asyncio.sleep(self.random.uniform(0, 0.02))

    async def _enqueue(self, app: Aarq, job_id: str) -> None:
        at = time.time()
        try:
            await app.tasks["nap"].options(job_id=job_id).enqueue(0.05)
        except AioqError:  # it is unknown whether the job is stored, so it does not count
            self.errors += 1
        else:
            self.enqueued[job_id] = at

    def _fail_over(self) -> None:
        if self.case.how == "killed":
            self.old.kill()
            self.watched.fail_over()
        else:
            self._demote()
        self.over_at = time.time()

    def _demote(self) -> None:
        """Promote another server and make the old primary its replica at once, which sentinels do later."""
        self.watched.fail_over()
        while (new := self.watched.primary()) is self.old:
            time.sleep(0.01)
        with self.old.client() as client:
            client.replicaof("127.0.0.1", new.port)
