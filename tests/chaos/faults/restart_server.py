"""F3: the server is shut down and started again with its data, at once and after an outage."""

from __future__ import annotations

import time
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_most
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load, load_of
from tests.chaos.scenario import DURABLE, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F3 restart_server"

CONSUMING = 2.0
"""Seconds from the server's start until the next job begins."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Restart the server at once, and after an outage."""
    return [
        _restart(seconds, load_of(full), seed, folder / f"{seconds:g}") for seconds in ((0, 60) if full else (0, 2))
    ]


def _restart(seconds: float, load: Load, seed: int, folder: Path) -> FaultResult:
    with open_scenario(folder, [WorkerProcess(load.arguments())], options=DURABLE) as scenario:
        scenario.fleet.start()
        scenario.enqueue("nap", load.jobs, load.nap)
        scenario.wait_ended(load.jobs * 3 // 10)
        scenario.server.stop()
        time.sleep(seconds)
        scenario.server.start()
        ready = time.time()
        outcome = scenario.finish(timeout=load.seconds + 30)
        again = [event.at for event in scenario.job_log.read() if event.kind == "begin" and event.at > ready]
    late = min(again, default=float("inf")) - ready
    bars = [
        at_most("ran twice", outcome.figures.twice, load.concurrency),
        at_most("seconds until the next job began", late, CONSUMING, measured=True),
    ]
    return outcome.result(FAULT, f"down for {seconds:g} s", seed=seed, bars=bars, late=late)
