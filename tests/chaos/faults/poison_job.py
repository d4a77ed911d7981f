"""F7: a job crashes its worker, among twenty other jobs that need all of their retries."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from aioq.model.states import JobState
from tests.chaos.fault_result import FaultResult, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F7 poison_job"

OTHER_JOBS = 20
STARTS = 3
DEAD_AFTER = 20.0
"""Seconds from the first start of the poison job until it is dead."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Restart the worker after each crash until the poison job is dead."""
    load = replace(load_of(full), concurrency=OTHER_JOBS + 5)
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        (poison,) = scenario.producer.enqueue("poison", 1)
        others = scenario.enqueue("failing", OTHER_JOBS, load.nap)
        scenario.fleet.start()
        dead_at = _wait_dead(scenario, poison)
        outcome = scenario.finish()
        record = scenario.producer.record(poison)
        failed = sum(_state(scenario, job_id) is not JobState.COMPLETED for job_id in others)
    starts = [event.at for event in scenario.job_log.read() if event.job_id == poison]
    late = dead_at - min(starts)
    bars = [
        at_most("starts of the poison job", len(starts), STARTS),
        exactly("state of the poison job", record and f"{record.state} {record.reason}", "dead crashed"),
        at_most("seconds until it was dead", late, DEAD_AFTER),
        exactly("other jobs that did not complete with their retries", failed, 0),
        exactly("other jobs that ran twice", outcome.figures.twice, 0),
    ]
    # Each start of the poison job crashes one worker, so these exits are expected.
    calm = replace(outcome, exits=max(outcome.exits - len(starts), 0))
    return [calm.result(FAULT, "", seed=seed, bars=bars, late=late, worker_starts=len(starts) + 1)]


def _wait_dead(scenario: Scenario, poison: str) -> float:
    """Restart the worker until the poison job is dead; return the time."""

    def is_dead() -> bool:
        scenario.fleet.restart_exited()
        return _state(scenario, poison) is JobState.DEAD

    deadline = time.time() + 60
    while time.time() < deadline and not is_dead():
        time.sleep(0.2)
    return time.time()


def _state(scenario: Scenario, job_id: str) -> JobState | None:
    record = scenario.producer.record(job_id)
    return record.state if record else None
