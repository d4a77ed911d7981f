"""F2: a worker gets SIGTERM while jobs run. Jobs that outlast the grace are interrupted and run on another worker."""

from __future__ import annotations

import time
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load, load_of
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F2 terminate_worker"

SLACK = 1.0
"""Seconds beyond its longest job until a worker exits, and until an interrupted job runs again."""
GRACE = 1.0
"""Grace in seconds for the jobs that outlast it."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Stop a worker with short jobs, and one with long jobs."""
    load = load_of(full)
    return [_short(load, seed, folder / "short"), _interrupted(load, seed, folder / "interrupted")]


def _short(load: Load, seed: int, folder: Path) -> FaultResult:
    with open_scenario(folder, [WorkerProcess(load.arguments()), WorkerProcess(load.arguments())]) as scenario:
        scenario.fleet.start(0)
        scenario.enqueue("nap", load.jobs, load.nap)
        scenario.wait_ended(load.jobs * 3 // 10)
        seconds = _stop_first(scenario)
        cut = scenario.under_way()
        code = scenario.fleet.exits[0]
        scenario.fleet.start(1)
        outcome = scenario.finish(timeout=load.seconds + 30)
    bars = [
        exactly("exit code", code, 0),
        exactly("begun and not ended within the grace", cut, 0),
        at_most("seconds from SIGTERM to the exit, beyond the longest job", seconds - load.nap, SLACK, measured=True),
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("begun twice", outcome.figures.begun_again, 0),
    ]
    return outcome.result(FAULT, "jobs end in time", seed=seed, bars=bars, late=seconds)


def _interrupted(load: Load, seed: int, folder: Path) -> FaultResult:
    with open_scenario(
        folder, [WorkerProcess(load.arguments("--grace", f"{GRACE:g}")), WorkerProcess(load.arguments())]
    ) as scenario:
        scenario.fleet.start(0)
        scenario.enqueue("nap", load.concurrency, 60.0, load.nap)
        scenario.wait(lambda: scenario.begun() == load.concurrency)
        scenario.fleet.start(1)
        stopped = time.time()
        seconds = _stop_first(scenario)
        code = scenario.fleet.exits[0]
        outcome = scenario.finish()
        again = [event.at for event in scenario.job_log.read() if event.kind == "begin"][load.concurrency :]
        attempts = outcome.figures.attempts
    late = max(again, default=stopped) - stopped - GRACE
    bars = [
        exactly("exit code", code, 0),
        exactly("jobs that were interrupted and began again", len(again), load.concurrency),
        at_most("seconds from the interruption until all ran again", late, SLACK, measured=True),
        exactly("highest attempt: an interrupted attempt does not count", attempts, 1),
        exactly("ran twice", outcome.figures.twice, 0),
    ]
    return outcome.result(FAULT, "jobs are interrupted", seed=seed, bars=bars, late=late, exit_after=seconds)


def _stop_first(scenario: Scenario) -> float:
    """Stop the first worker; return the seconds until it exited."""
    before = time.time()
    scenario.fleet.stop(0)
    return time.time() - before
