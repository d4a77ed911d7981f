"""F6: the server forgets all scripts (SCRIPT FLUSH) several times while jobs run."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.fault_result import FaultResult, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.scenario import open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F6 flush_scripts"

FLUSHES = 5


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Flush the scripts five times; no job and no log line shows it."""
    load = load_of(full)
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        scenario.fleet.start()
        scenario.enqueue("nap", load.jobs, load.nap)
        for n in range(1, FLUSHES + 1):
            scenario.wait_ended(load.jobs * n // (FLUSHES + 1))
            with scenario.server.client() as client:
                client.script_flush()
        outcome = scenario.finish(timeout=load.seconds + 30)
    bars = [
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("begun twice", outcome.figures.begun_again, 0),
        exactly("lines at ERROR", outcome.errors, 0),
    ]
    return [outcome.result(FAULT, f"{FLUSHES} times", seed=seed, bars=bars)]
