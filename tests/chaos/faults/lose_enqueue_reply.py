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
from tests.chaos.fleet import Seat
from tests.chaos.journal import Journal
from tests.chaos.load import Load, load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_least, exactly
from tests.redis.proxy import Fault, Proxy, When

__all__ = ["run"]

CASES = (("kept", "record kept"), ("nap", "nothing kept"))
"""Tasks, and what becomes of the records of their jobs."""
TIMEOUT = 0.5
"""Seconds after which the broker gives up, and the caller has to repeat."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """With a task of which a record is kept, as by default, and with one of which nothing is: side by side."""
    jobs = 200 if full else 12

    def lose(task: str, case: str) -> Verdict:
        return _lose(task, case, jobs, load_of(full), seed, folder / task)

    with ThreadPoolExecutor(len(CASES)) as pool:
        return list(pool.map(lose, *zip(*CASES, strict=True)))


def _lose(task: str, case: str, jobs: int, load: Load, seed: int, folder: Path) -> Verdict:
    """Lose replies once, so that the broker repeats by itself, or let a connection go silent, so that it gives up."""
    with staged(folder, [Seat(load.arguments())]) as stage:
        stage.fleet.start()
        errors = asyncio.run(_enqueue(stage, task, jobs, Random(f"{seed} F16")))
        outcome = stage.finish()
    bars = [
        exactly("ran twice", outcome.account.twice, 0),
        exactly("begun twice", outcome.account.begun_again, 0),
        at_least("enqueues that raised, and were repeated by the caller", errors, 1),
    ]
    return outcome.verdict("F16", case, seed=seed, bars=bars, errors=errors)


async def _enqueue(stage: Stage, task: str, jobs: int, random: Random) -> int:
    """Enqueue jobs one by one, each with a mishap; return how many calls raised."""
    errors = 0
    async with Proxy(stage.server.url) as proxy:
        app = Aarq(RedisBroker(proxy.url, namespace=NAMESPACE, timeout=TIMEOUT), name="chaos")
        define(app, Journal(Path("/dev/null")))
        async with app:
            for n in range(jobs):
                job_id = f"repeated-{n:03}"
                # A silence is noticed after 5 seconds.
                silent = n % 20 == 10
                proxy.fail(Fault(job_id.encode(), random.choice((When.AFTER, When.MIDDLE)), silent=silent))
                errors += await _insist(app, task, job_id)
                stage.asked.append(job_id)
    return errors


async def _insist(app: Aarq, task: str, job_id: str) -> int:
    """Enqueue a job until it is accepted; return how often that raised."""
    errors = 0
    while True:
        try:
            await app.tasks[task].options(job_id=job_id).enqueue(0.01)
            break
        except BrokerUnavailable:
            errors += 1
    return errors
