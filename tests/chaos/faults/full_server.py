"""F13: the server is at its maxmemory and evicts nothing. `enqueue` raises, and workers go on with their jobs."""

from __future__ import annotations

import time
from pathlib import Path

from aioq.errors import BrokerFull
from tests.chaos.fault_result import FaultResult, at_least, at_most, exactly
from tests.chaos.faults.drain_full_server import drain
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F13 full_server"

RAISED = 1.0
"""Seconds within which `enqueue` raises."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Fill a server while a worker runs, and let workers empty full servers of small and of large jobs."""
    limit = "20mb" if full else "4mb"
    drained = [drain(limit, size, seed, folder / f"drain-{size}") for size in (100, 500_000)]
    return [_run_beside(full, seed, folder), *drained]


def _run_beside(full: bool, seed: int, folder: Path) -> FaultResult:
    """Set `maxmemory` below the used memory while jobs run, and reset it near the end."""
    load = load_of(full)
    with open_scenario(
        folder, [WorkerProcess(load.arguments())], options=("--maxmemory-policy", "noeviction")
    ) as scenario:
        scenario.fleet.start()
        scenario.enqueue("nap", load.jobs, load.nap)
        scenario.wait_ended(load.jobs * 3 // 10)
        with scenario.server.client() as client:
            client.config_set("maxmemory", 1)
        error, seconds = _refused(scenario)
        before = load.jobs - scenario.producer.stats().running - scenario.producer.stats().pending
        scenario.wait_ended(load.jobs * 8 // 10)
        acknowledged = load.jobs - scenario.producer.stats().running - scenario.producer.stats().pending - before
        with scenario.server.client() as client:
            client.config_set("maxmemory", 0)
        scenario.enqueue("nap", 10, load.nap)
        outcome = scenario.finish(timeout=load.seconds + 30)
    bars = [
        exactly("error of enqueue", error, "BrokerFull"),
        at_most("seconds until it does", seconds, RAISED, measured=True),
        at_least("jobs acknowledged while it was full", acknowledged, load.jobs // 10 * 3),
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("begun twice", outcome.figures.begun_again, 0),
    ]
    return outcome.result(FAULT, "", seed=seed, bars=bars, late=seconds, acknowledged=acknowledged)


def _refused(scenario: Scenario) -> tuple[str, float]:
    before = time.time()
    try:
        scenario.producer.enqueue("nap", 1, 0.0)
    except BrokerFull as error:
        return type(error).__name__, time.time() - before
    return "nothing", time.time() - before
