"""F1: a worker is killed with kill -9 while jobs run, and a second one is started. F1b: no job waits in the queue."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_most
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load, load_of
from tests.chaos.scenario import Outcome, open_scenario

__all__ = ["EMPTY_QUEUE_FAULT", "FAULT", "run", "run_empty_queue"]

FAULT = "F1 kill_worker"
EMPTY_QUEUE_FAULT = "F1b kill_worker_empty_queue"

RECOVERED = 5.0
"""Seconds from the kill until all jobs have ended, with a lease of 3 s or less."""
RECOVERED_BY_DEFAULT = 45.0
"""The same with the default lease of a worker."""
DEFAULT_LEASE = 30.0


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """F1: kill a worker while more jobs are in the queue."""
    load = replace(load_of(full), concurrency=100 if full else 20)
    return _run(FAULT, load, full, seed, folder, killed_at=load.jobs * 3 // 10)


def run_empty_queue(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """F1b: kill a worker while it runs the only jobs."""
    load = replace(load_of(full), concurrency=100 if full else 20, jobs=100 if full else 20)
    return _run(EMPTY_QUEUE_FAULT, load, full, seed, folder, killed_at=0)


def _run(fault: str, load: Load, full: bool, seed: int, folder: Path, *, killed_at: int) -> list[FaultResult]:
    # The quick size runs on a shared machine, where the start of a Python may take longer than all jobs.
    runs = [_Kill(load, folder / f"{n:02}", killed_at, standby=not full) for n in range(20 if full else 1)]
    results = [_result(fault, f"lease {load.lease:g} s, {len(runs)} times", runs, seed, RECOVERED)]
    if full:
        patient = _Kill(replace(load, lease=DEFAULT_LEASE), folder / "default", killed_at)
        results.append(_result(fault, f"lease {DEFAULT_LEASE:g} s", [patient], seed, RECOVERED_BY_DEFAULT))
    return results


class _Kill:
    """One kill and its outcome.

    Args:
        killed_at: Number of jobs that have ended when the worker is killed.
        standby: Whether the second worker is started before the kill and frozen until then.
    """

    def __init__(self, load: Load, folder: Path, killed_at: int, *, standby: bool = False) -> None:
        with open_scenario(folder, [WorkerProcess(load.arguments()), WorkerProcess(load.arguments())]) as scenario:
            scenario.fleet.start(*((0, 1) if standby else (0,)))
            if standby:
                scenario.fleet.freeze(1)
            scenario.enqueue("nap", load.jobs, load.nap)
            scenario.wait(
                lambda: scenario.ended() >= killed_at and scenario.begun() >= min(load.jobs, load.concurrency)
            )
            scenario.fleet.kill(0)
            killed = time.time()
            self.unacked = scenario.producer.stats().running
            (scenario.fleet.resume if standby else scenario.fleet.start)(1)
            self.outcome: Outcome = scenario.finish(timeout=load.lease * 2 + load.seconds + 30)
            self.recovered = self.outcome.figures.last_end - killed


def _result(fault: str, case: str, kills: list[_Kill], seed: int, limit: float) -> FaultResult:
    outcomes = [kill.outcome for kill in kills]
    total = replace(
        outcomes[0],
        figures=replace(
            outcomes[0].figures,
            jobs=sum(one.figures.jobs for one in outcomes),
            lost=sum(one.figures.lost for one in outcomes),
            twice=sum(one.figures.twice for one in outcomes),
        ),
        stuck=sum(one.stuck for one in outcomes),
        exits=sum(one.exits for one in outcomes),
        seconds=sum(one.seconds for one in outcomes),
    )
    late = max(kill.recovered for kill in kills)
    bars = [
        at_most("ran twice beyond what was unacknowledged at the kill", _excess(kills), 0),
        at_most("seconds from the kill until all was done", late, limit, measured=True),
    ]
    unacked = [kill.unacked for kill in kills]
    return total.result(
        fault, case, seed=seed, bars=bars, late=late, unacked=unacked, recovered=[kill.recovered for kill in kills]
    )


def _excess(kills: list[_Kill]) -> int:
    return max(kill.outcome.figures.twice - kill.unacked for kill in kills)
