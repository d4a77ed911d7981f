"""F4: the server freezes: its connections stay open, and it answers nothing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_most
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load, load_of
from tests.chaos.scenario import open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F4 freeze_server"

LONG_LEASE = 30.0
"""A lease in seconds that outlasts the freeze, so that no job may run twice."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Freeze the server for longer than a lease, and for less."""
    load, frozen = load_of(full), 8.0 if full else 2.0
    short = _freeze(frozen, load, load.concurrency, seed, folder / "short")
    long = _freeze(frozen, replace(load, lease=LONG_LEASE), 0, seed, folder / "long")
    return [short, long]


def _freeze(seconds: float, load: Load, twice: int, seed: int, folder: Path) -> FaultResult:
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        scenario.fleet.start()
        scenario.enqueue("nap", load.jobs, load.nap)
        scenario.wait_ended(load.jobs * 3 // 10)
        scenario.server.pause()
        time.sleep(seconds)
        scenario.server.resume()
        resumed = time.time()
        outcome = scenario.finish(timeout=load.seconds + load.lease * 2 + 30)
        again = [event.at for event in scenario.job_log.read() if event.kind == "begin" and event.at > resumed]
    return outcome.result(
        FAULT, f"for {seconds:g} s, lease {load.lease:g} s", seed=seed, late=min(again, default=resumed) - resumed,
        bars=[at_most("ran twice", outcome.figures.twice, twice)],
    )  # fmt: skip
