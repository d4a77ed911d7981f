"""F16: the reply to an enqueue is lost. The caller repeats it with the same id, and each job runs once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq.errors import BrokerUnavailable
from tests.chaos.apps.tasks import define
from tests.chaos.fault_result import FaultResult, at_least, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.job_log import JobLog
from tests.chaos.load import Load, load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.scenario import Scenario, open_scenario
from tests.redis.proxy import Fault, Proxy, When

__all__ = ["FAULT", "run"]

FAULT = "F16 lose_enqueue_reply"

CASES = (("kept", "record kept"), ("nap", "nothing kept"))
"""Tasks, and whether the records of their jobs are kept."""
TIMEOUT = 0.5
"""Timeout of the broker in seconds, after which the caller has to repeat."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Run a task whose record is kept, as by default, and one whose record is not, at the same time."""
    jobs = 200 if full else 12

    def lose(task: str, case: str) -> FaultResult:
        return _lose(task, case, jobs, load_of(full), seed, folder / task)

    with ThreadPoolExecutor(len(CASES)) as pool:
        return list(pool.map(lose, *zip(*CASES, strict=True)))


def _lose(task: str, case: str, jobs: int, load: Load, seed: int, folder: Path) -> FaultResult:
    """Lose a reply, so that the broker repeats the call, or let a connection go silent, so that the caller does."""
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        scenario.fleet.start()
        errors = asyncio.run(_enqueue(scenario, task, jobs, Random(f"{seed} F16")))
        outcome = scenario.finish()
    bars = [
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("begun twice", outcome.figures.begun_again, 0),
        at_least("enqueues that raised and that the caller repeated", errors, 1),
    ]
    return outcome.result(FAULT, case, seed=seed, bars=bars, errors=errors)


async def _enqueue(scenario: Scenario, task: str, jobs: int, random: Random) -> int:
    """Enqueue jobs one by one, each with a lost reply; return how many calls raised."""
    errors = 0
    async with Proxy(scenario.server.url) as proxy:
        app = Aarq(RedisBroker(proxy.url, namespace=NAMESPACE, timeout=TIMEOUT), name="chaos")
        define(app, JobLog(Path("/dev/null")))
        async with app:
            for n in range(jobs):
                job_id = f"repeated-{n:03}"
                # The client notices a silent connection after 5 seconds, so only a few jobs get one.
                silent = n % 20 == 10
                proxy.fail(Fault(job_id.encode(), random.choice((When.AFTER, When.MIDDLE)), silent=silent))
                errors += await _enqueue_until_accepted(app, task, job_id)
                scenario.enqueued.append(job_id)
    return errors


async def _enqueue_until_accepted(app: Aarq, task: str, job_id: str) -> int:
    """Repeat the enqueue of a job until it returns; return how many calls raised."""
    errors = 0
    while True:
        try:
            await app.tasks[task].options(job_id=job_id).enqueue(0.01)
            break
        except BrokerUnavailable:
            errors += 1
    return errors
