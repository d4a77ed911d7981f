"""F17: workers of one release get the jobs of another, whose tasks have other parameters; then a deploy follows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aioq import Aarq
from tests.chaos.apps.arguments import CLOSED, OPEN, calls, define_release
from tests.chaos.fault_result import FaultResult, at_least, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.job_log import JobLog
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F17 mixed_releases"
APP = "tests.chaos.apps.releases:app"
CASES = (("1", "2"), ("2", "1"))
"""The release of the workers that run first, and that of the client and the workers that follow."""
LONGEST = 75.0
"""Seconds after which a job that was handed back three times is due again, with some to spare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of the fault."""

    jobs: int
    workers: int
    together: float
    """Seconds for which workers of both releases run, from the first hand-back of the last job."""


FULL = Plan(jobs=1000, workers=3, together=35.0)
SMALL = Plan(jobs=40, workers=1, together=12.0)


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Enqueue jobs of a release that no worker runs yet, and deploy it; both ways at the same time."""
    plan = FULL if full else SMALL
    with ThreadPoolExecutor(len(CASES)) as pool:
        return list(pool.map(lambda case: _run(plan, seed, folder / "-".join(case), *case), CASES))


def _run(plan: Plan, seed: int, folder: Path, before: str, after: str) -> FaultResult:
    workers = [_worker(release) for release in (before, after) for _ in range(plan.workers)]
    old, new = range(plan.workers), range(plan.workers, 2 * plan.workers)
    with open_scenario(folder, workers) as scenario:
        scenario.fleet.start(*old)
        scenario.producer.with_app(partial(_enqueue, scenario, after, plan.jobs))
        scenario.wait_ended(plan.jobs)
        scenario.wait(lambda: _waiting(scenario, plan.jobs))
        at_first = scenario.ended()
        scenario.fleet.start(*new)
        scenario.wait(lambda: False, plan.together)
        dead = scenario.producer.stats().dead
        scenario.fleet.stop(*old)
        outcome = scenario.finish(LONGEST)
    handed_back = scenario.fleet.logs().count(" was handed back")
    bars = [
        exactly("jobs of the task with **kwargs that ran on workers of the other release", at_first, plan.jobs),
        at_least("hand-backs of the task without it", handed_back, plan.jobs),
        exactly("dead while both releases ran", dead, 0),
        exactly("dead after the deploy", outcome.dead, 0),
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("highest attempt", outcome.figures.attempts, 1),
    ]
    case = f"workers of release {before}, client of release {after}"
    return outcome.result(FAULT, case, seed=seed, bars=bars, handed_back=handed_back)


def _worker(release: str) -> WorkerProcess:
    return WorkerProcess(["-m", "aioq", "worker", APP, "--lease", "3", "-c", "20"], {"CHAOS_RELEASE": release})


async def _enqueue(scenario: Scenario, release: str, number: int, app: Aarq) -> None:
    define_release(app, release, JobLog(Path("/dev/null")))
    every = [call for task in (CLOSED, OPEN) for call in calls(app, release, task, number)]
    await app.enqueue_many(every)
    scenario.enqueued += [call.job.id for call in every]


def _waiting(scenario: Scenario, number: int) -> bool:
    """Return whether all jobs that no worker can run were handed back."""
    return scenario.producer.stats().scheduled == number
