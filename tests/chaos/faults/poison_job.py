"""F7: a job crashes its worker, among twenty other jobs that need all of their retries, or that run for long.

F7b: a job that crashed twice waits while all workers run long jobs.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import anyio

from aioq import Aarq
from aioq.model.job import ClaimRequest
from aioq.model.states import JobState
from tests.chaos.fault_result import FaultResult, at_most, exactly, holds
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load, load_of
from tests.chaos.producer import Producer
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["BUSY_FAULT", "FAULT", "run", "run_busy_fleet"]

FAULT = "F7 poison_job"
BUSY_FAULT = "F7b suspect_in_busy_fleet"

OTHER_JOBS = 20
STARTS = 3
LONG_NAP = 10.0
DEAD_AFTER = 20.0
"""Seconds from the first start of the poison job until it is dead."""


WORKERS = 3
AT_ONCE = 3.0
"""Seconds within which new jobs complete beside a suspect that waits."""


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Restart the worker after each crash until the poison job is dead."""
    load = load_of(full)
    results = [_run(load, "failing", seed, folder / "failing")]
    if full:
        results.append(_run(replace(load, nap=LONG_NAP), "kept", seed, folder / "long"))
    return results


def _run(load: Load, task: str, seed: int, folder: Path) -> FaultResult:
    load = replace(load, concurrency=OTHER_JOBS + 5)
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        others = scenario.enqueue(task, OTHER_JOBS, load.nap)
        (poison,) = scenario.producer.enqueue("poison", 1)
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
        at_most("seconds until it was dead", late, DEAD_AFTER, measured=True),
        exactly("other jobs that did not complete with their retries", failed, 0),
        exactly("other jobs that ran twice", outcome.figures.twice, 0),
    ]
    # Each start of the poison job crashes one worker, so these exits are expected.
    calm = replace(outcome, exits=max(outcome.exits - len(starts), 0))
    case = f"jobs of {load.nap:g} s"
    return calm.result(FAULT, case, seed=seed, bars=bars, late=late, worker_starts=len(starts) + 1)


def run_busy_fleet(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """F7b: each of three workers runs a long job; new jobs complete at once, and the suspect runs in the end."""
    load = replace(load_of(full), nap=90.0 if full else 6.0, lease=1)
    with open_scenario(folder, [WorkerProcess(load.arguments()) for _ in range(WORKERS)]) as scenario:
        (suspect,) = scenario.enqueue("nap", 1, 0.1)
        _crash_twice(scenario.server.url, folder)
        scenario.enqueue("nap", WORKERS, load.nap)
        slowest = _run_beside_suspect(scenario, load)
        outcome = scenario.finish(timeout=2 * load.nap)
        ends = {event.job_id: event.at for event in scenario.job_log.read() if event.kind == "end"}
    bars = [
        at_most("seconds until a new job was complete", slowest, AT_ONCE, measured=True),
        exactly("dead", outcome.dead, 0),
        holds("the suspect completed", suspect in ends),
    ]
    return [outcome.result(BUSY_FAULT, f"jobs of {load.nap:g} s", seed=seed, bars=bars, late=slowest)]


def _crash_twice(url: str, folder: Path) -> None:
    """Let two workers crash with the jobs that wait."""

    async def crash(app: Aarq) -> None:
        for n in "12":
            request = ClaimRequest(worker_id=n, queues=("default",), limit=9, lease=0.001, request_id=f"{folder}{n}")
            await app.broker.claim(request)
            await anyio.sleep(0.01)
            await app.broker.reap(["default"], lease=1)

    Producer(url).with_app(crash)


def _run_beside_suspect(scenario: Scenario, load: Load) -> float:
    """Start the fleet, keep the suspect waiting, and return the longest time that a new job took."""
    scenario.fleet.start()
    slowest = 0.0
    until = time.time() + load.nap * 2 / 3
    while time.time() < until:
        before, ended = time.time(), scenario.ended()
        scenario.enqueue("nap", WORKERS, 0.0)
        scenario.wait_ended(ended + WORKERS, timeout=load.nap)
        slowest = max(slowest, time.time() - before)
        time.sleep(0.5)
    return slowest


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
