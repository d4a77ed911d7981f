"""F14: a random worker is killed with kill -9, two hundred times in a row. F14b: sixty times, with default options."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.apps.tasks import MAX_CRASHES
from tests.chaos.fault_result import FaultResult, at_least, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["DEFAULTS_FAULT", "FAULT", "run", "run_with_defaults"]

FAULT = "F14 kill_workers"
DEFAULTS_FAULT = "F14b kill_workers_by_default"

WORKERS = 3
PAUSE = (0.2, 1.5)
"""Shortest and longest pause between two kills in seconds, besides the start of the new worker."""
SEEDS = (1, 2, 3, 4, 5)
"""The seeds of F14b."""
JOBS = 14_000
"""The number of jobs that F14b runs at least."""
BACKLOG = 400
"""Jobs in the queue after each kill: more than the workers can run until the next."""
GROWTH = 1e6
"""Bytes by which the server's memory may have grown at the end."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Kill a worker, start it again, enqueue more jobs, and repeat."""
    load, random, kills = replace(load_of(full), concurrency=10), Random(f"{seed} F14"), 200 if full else 5
    with open_scenario(folder, [WorkerProcess(load.arguments()) for _ in range(WORKERS)]) as scenario:
        scenario.fleet.start()
        scenario.enqueue("crash_tolerant", 100, load.nap)
        scenario.wait_all()
        baseline = _memory(scenario)
        _kill(scenario, "crash_tolerant", load.nap, random, kills)
        outcome = scenario.finish(timeout=120)
        growth = _memory(scenario) - baseline
    bars = [
        at_most("ran twice", outcome.figures.twice, kills * load.concurrency),
        at_most("highest attempt", outcome.figures.attempts, MAX_CRASHES),
        exactly("dead", outcome.dead, 0),
        at_least("jobs that were interrupted and began again", outcome.figures.begun_again, kills),
        at_most("growth of the server's memory in bytes", growth, GROWTH, measured=True),
    ]
    return [outcome.result(FAULT, f"{kills} kills", seed=seed, bars=bars, growth=growth)]


def run_with_defaults(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Do the same with jobs that have the default `max_crashes`, once for each of several seeds: none is dead."""
    return [_run_with_defaults(full, one, folder / str(one)) for one in (SEEDS if full else (seed,))]


def _run_with_defaults(full: bool, seed: int, folder: Path) -> FaultResult:
    load, random, kills = replace(load_of(full), concurrency=10), Random(f"{seed} F14b"), 60 if full else 5
    with open_scenario(folder, [WorkerProcess(load.arguments()) for _ in range(WORKERS)]) as scenario:
        scenario.fleet.start()
        _kill(scenario, "nap", load.nap, random, kills)
        if full:
            scenario.enqueue("nap", max(JOBS - len(scenario.enqueued), 1), load.nap)
        outcome = scenario.finish(timeout=240)
    return outcome.result(DEFAULTS_FAULT, f"{kills} kills", seed=seed, bars=[exactly("dead", outcome.dead, 0)])


def _kill(scenario: Scenario, task: str, nap: float, random: Random, kills: int) -> None:
    """Kill a worker, start it again, enqueue more jobs, and repeat."""
    for _ in range(kills):
        scenario.enqueue(task, max(BACKLOG - scenario.producer.stats().pending, 1), nap)
        time.sleep(random.uniform(*PAUSE))
        victim = random.randrange(WORKERS)
        scenario.fleet.kill(victim)
        scenario.fleet.start(victim)


def _memory(scenario: Scenario) -> int:
    with scenario.server.client() as connection:
        client: Any = connection
        client.memory_purge()
        return int(client.info("memory")["used_memory"])
