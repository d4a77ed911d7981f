"""F21: the server is away, or stands still, for longer than a lease, again and again: no job runs twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.chaos.fault_result import FaultResult, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load, load_of
from tests.chaos.scenario import DURABLE, Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F21 outages"

WORKERS = 3


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Restart the server and freeze it, under many short jobs; and restart it under one job of many leases."""
    load = replace(load_of(full), jobs=100 if full else 50)
    rounds, away = (20, 8.0) if full else (2, 2.0)
    return [
        _repeat("restarts", _restart, load, rounds, away, seed, folder / "restarts"),
        _repeat("freezes", _freeze, load, rounds, away, seed, folder / "freezes"),
        _long_job(load, 10 if full else 3, 5.0 if full else 2.0, seed, folder / "long"),
    ]


def _restart(scenario: Scenario, seconds: float) -> None:
    scenario.server.stop()
    time.sleep(seconds)
    scenario.server.start()


def _freeze(scenario: Scenario, seconds: float) -> None:
    scenario.server.pause()
    time.sleep(seconds)
    scenario.server.resume()


def _repeat(
    name: str,
    disrupt: Callable[[Scenario, float], None],
    load: Load,
    rounds: int,
    seconds: float,
    seed: int,
    folder: Path,
) -> FaultResult:
    workers = [WorkerProcess(load.arguments()) for _ in range(WORKERS)]
    with open_scenario(folder, workers, options=DURABLE) as scenario:
        scenario.fleet.start()
        for _ in range(rounds):
            ended = scenario.ended()
            scenario.enqueue("nap", load.jobs, load.nap)
            scenario.wait_ended(ended + load.jobs * 3 // 10)
            disrupt(scenario, seconds)
            scenario.wait_all(load.seconds + load.lease * 4 + 30)
        outcome = scenario.finish()
    case = f"{rounds} {name} of {seconds:g} s, lease {load.lease:g} s"
    bars = [
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("begun twice", outcome.figures.begun_again, 0),
        exactly("dead", outcome.dead, 0),
    ]
    return outcome.result(FAULT, case, seed=seed, bars=bars)


def _long_job(load: Load, outages: int, seconds: float, seed: int, folder: Path) -> FaultResult:
    """Restart the server under one job, with a little less than a lease between the restarts."""
    between = load.lease * 5 / 6
    with open_scenario(folder, [WorkerProcess(load.arguments())], options=DURABLE) as scenario:
        scenario.fleet.start()
        scenario.enqueue("nap", 1, outages * (seconds + between))
        scenario.wait(lambda: scenario.begun() == 1)
        for _ in range(outages):
            time.sleep(between)
            _restart(scenario, seconds)
        outcome = scenario.finish(timeout=outages * (seconds + between) + 30)
        starts = scenario.begun()
    case = f"one job, {outages} outages of {seconds:g} s, lease {load.lease:g} s"
    bars = [exactly("starts", starts, 1), exactly("dead", outcome.dead, 0)]
    return outcome.result(FAULT, case, seed=seed, bars=bars)
