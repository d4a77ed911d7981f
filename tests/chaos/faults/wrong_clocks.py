"""F11: the clocks of workers are an hour off. Jobs come due and leases run out on the server's clock."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_least, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.scenario import open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F11 wrong_clocks"

OFFSETS = (-3600.0, 0.0, 3600.0)
EARLY, LATE = 0.5, 1.5
"""Seconds by which a deferred job may begin before and after its time, on this machine's clock."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Run deferred jobs beside jobs that take several leases."""
    load, delay = replace(load_of(full), jobs=24), 25.0 if full else 4.0
    app = "tests.chaos.apps.jobs:app"
    workers = [
        WorkerProcess(["-m", "tests.chaos.wrong_clock", app, f"{ahead:g}", f"{load.lease:g}"]) for ahead in OFFSETS
    ]
    with open_scenario(folder, workers) as scenario:
        scenario.fleet.start()
        long = scenario.enqueue("nap", 6, load.lease * 3)
        deferred = set(scenario.enqueue("nap", load.jobs, 0.5, defer_by=delay))
        enqueued = time.time()
        outcome = scenario.finish(timeout=delay + 30)
        begun = [event for event in scenario.job_log.read() if event.kind == "begin"]
    waited = [event.at - enqueued for event in begun if event.job_id in deferred]
    bars = [
        at_least("seconds that a deferred job waited", min(waited, default=0.0), delay - EARLY),
        at_most("seconds that a deferred job waited", max(waited, default=float("inf")), delay + LATE, measured=True),
        exactly("leases stolen", sum(event.job_id in long for event in begun) - len(long), 0),
        exactly("ran twice", outcome.figures.twice, 0),
        # More jobs come due at once than two workers have slots for.
        exactly("workers that took part", len({event.pid for event in begun}), len(OFFSETS)),
    ]
    late = max(waited, default=float("inf")) - delay
    return [outcome.result(FAULT, f"-1 h, 0, +1 h; deferred by {delay:g} s", seed=seed, bars=bars, late=late)]
