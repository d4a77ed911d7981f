"""F19: a hundred thousand jobs run without a fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.scenario import Scenario, open_scenario
from tests.redis.layout import keys_of

__all__ = ["FAULT", "run"]

FAULT = "F19 no_fault"

GROWTH = 5e6
"""Bytes by which the worker may grow after its first jobs."""
FOR_EVER = {f"{{{NAMESPACE}}}:queue_names", f"{{{NAMESPACE}:default}}:wake"}
"""Keys without an expiry that may remain; their size is bounded by the number of queues."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Keep one worker busy, and look at its memory and at the keys of the server in the end."""
    load = replace(load_of(full), concurrency=100)
    jobs, wave = (100_000, 10_000) if full else (3_000, 1_000)
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        scenario.fleet.start()
        warm = 0
        for _ in range(0, jobs, wave):
            scenario.enqueue("nap", wave, 0.0)
            scenario.wait_all(timeout=120)
            warm = warm or _memory(scenario)
        growth = _memory(scenario) - warm
        outcome = scenario.finish()
        with scenario.server.client() as client:
            left = [key for key in keys_of(client, NAMESPACE) if client.pttl(key) == -1 and key not in FOR_EVER]
    bars = [
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("begun twice", outcome.figures.begun_again, 0),
        exactly("remaining keys without an expiry", ", ".join(left) or 0, 0),
        at_most("growth of the worker in bytes", growth, GROWTH, measured=True),
    ]
    return [outcome.result(FAULT, "", seed=seed, bars=bars, growth=growth, left=left)]


def _memory(scenario: Scenario) -> int:
    """Return the resident memory of the worker in bytes."""
    for line in Path(f"/proc/{scenario.fleet.pid(0)}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not report the memory of a process")
