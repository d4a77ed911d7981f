"""F5: all connections of the workers are killed twice a second."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.chaos.fault_result import FaultResult, at_least, at_most
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F5 kill_connections"

EVERY = 0.5
TWICE = 5
THROUGHPUT = 0.5
"""Share of the undisturbed throughput that must remain."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Compare how many jobs end per second before and during the kills."""
    load, calm, long = load_of(full), 3.0 if full else 1.0, 10.0 if full else 3.0
    jobs = round((calm + long + 4) / load.nap * load.concurrency)
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        scenario.fleet.start()
        scenario.enqueue("nap", jobs, load.nap)
        scenario.wait_ended(load.concurrency)
        undisturbed = _jobs_per_second(scenario, calm, killing=False)
        disturbed = _jobs_per_second(scenario, long, killing=True)
        outcome = scenario.finish(timeout=load.seconds + 30)
    bars = [
        at_most("ran twice", outcome.figures.twice, TWICE),
        at_least("share of the undisturbed throughput", round(disturbed / undisturbed, 3), THROUGHPUT, measured=True),
    ]
    return [
        outcome.result(FAULT, f"for {long:g} s", seed=seed, bars=bars, undisturbed=undisturbed, disturbed=disturbed)
    ]


def _jobs_per_second(scenario: Scenario, seconds: float, *, killing: bool) -> float:
    """Return how many runs ended per second."""
    before, started = scenario.ended(), time.time()
    while time.time() < started + seconds:
        if killing:
            _kill_all(scenario)
        time.sleep(EVERY)
    return (scenario.ended() - before) / (time.time() - started)


def _kill_all(scenario: Scenario) -> None:
    with scenario.server.client() as connection:
        client: Any = connection
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
