"""F22: tasks ignore their timeout until all slots are stuck. The worker leaves, and another one takes its place."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from aioq.cli.exit_codes import Exit
from tests.chaos.apps.tasks import STUCK_TIMEOUT
from tests.chaos.fault_result import FaultResult, at_most, exactly, holds
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F22 stuck_tasks"

SLOTS = 4
SETTLED_AFTER = 2.0
"""Seconds from the timeout of a job until it is settled although its task goes on."""
LEFT_AFTER = 20.0
"""Seconds until the worker has left: 5 until its slots are stuck, and 5 for its last tasks to end."""
WARNING = "5 s after it was interrupted because its timeout is over"


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Fill all slots of a worker with tasks that hang, `async def` and plain ones; other jobs wait behind them."""
    load = replace(load_of(full), concurrency=SLOTS)
    return [_hang(task, load.arguments(), load.nap, seed, folder / task) for task in ("deaf", "hang")]


def _hang(task: str, arguments: list[str], nap: float, seed: int, folder: Path) -> FaultResult:
    with open_scenario(folder, [WorkerProcess(arguments)]) as scenario:
        stuck = scenario.producer.enqueue(task, SLOTS)
        scenario.enqueue("nap", SLOTS * 5, nap)
        scenario.fleet.start()
        begun = time.time()
        code = _wait_exit(scenario)
        left = time.time() - begun
        settled = _settled_after(scenario, stuck)
        scenario.fleet.restart_exited()
        outcome = scenario.finish()
        states = {str(record.state) for job_id in stuck if (record := scenario.producer.record(job_id))}
        logs = scenario.fleet.logs()
        starts = sum(event.kind == "begin" and event.job_id in stuck for event in scenario.job_log.read())
    bars = [
        exactly("exit code of the worker", code, int(Exit.STUCK)),
        at_most("seconds until it had left", left, LEFT_AFTER, measured=True),
        at_most("seconds from the timeout until the job was settled", settled, SETTLED_AFTER, measured=True),
        exactly("states of the jobs that hang", ", ".join(states), "failed"),
        exactly("starts of the jobs that hang", starts, SLOTS),
        exactly("warnings", logs.count(WARNING), SLOTS),
        holds("the warnings name the jobs and show stacks", _shows(logs, stuck, f"in {task}\n")),
        exactly("other jobs that ran twice", outcome.figures.twice, 0),
    ]
    # The worker is meant to leave.
    calm = replace(outcome, exits=max(outcome.exits - 1, 0))
    return calm.result(FAULT, "async" if task == "deaf" else "plain", seed=seed, bars=bars, late=settled)


def _wait_exit(scenario: Scenario) -> int | None:
    (worker,) = scenario.fleet.workers
    process = worker.process
    scenario.wait(lambda: process is None or process.poll() is not None)
    return process.poll() if process else None


def _settled_after(scenario: Scenario, ids: Iterable[str]) -> float:
    """Return the longest time from the timeout of a job until it was settled."""
    begun = {event.job_id: event.at for event in scenario.job_log.read() if event.kind == "begin"}
    records = {job_id: scenario.producer.record(job_id) for job_id in ids}
    return max(
        record.finished_at - begun[job_id] - STUCK_TIMEOUT if record and record.finished_at else float("inf")
        for job_id, record in records.items()
    )


def _shows(logs: str, ids: Iterable[str], frame: str) -> bool:
    return frame in logs and all(f"job {job_id} of" in logs for job_id in ids)
