"""F8: a task blocks the event loop, for less than `max_block` and for longer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_most, exactly, holds
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load, load_of
from tests.chaos.scenario import open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F8 block_event_loop"

WARNED = 2.0
"""Seconds within which the log names the job and shows its stack."""
WARNING = "the event loop has been blocked"


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    block: float
    max_block: float
    starts: int


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Run two workers, so that one of them could take over the job of the other."""
    load, block = load_of(full), 15.0 if full else 3.0
    cases = [_Case("shorter than max_block", block, 60, 1), _Case("longer", block, load.lease, 2)]
    return [_block(case, load, seed, folder / f"{case.starts}") for case in cases]


def _block(case: _Case, load: Load, seed: int, folder: Path) -> FaultResult:
    workers = [WorkerProcess(load.arguments("--max-block", f"{case.max_block:g}")) for _ in range(2)]
    with open_scenario(folder, workers) as scenario:
        scenario.fleet.start()
        (job_id,) = scenario.enqueue("block", 1, case.block)
        scenario.wait(lambda: WARNING in scenario.fleet.logs())
        warned = time.time() - scenario.job_log.read()[0].at
        # The blocked worker reports only after the block.
        scenario.wait_ended(case.starts, timeout=case.block + load.lease * 3 + 10)
        outcome = scenario.finish()
        record, logs = scenario.producer.record(job_id), scenario.fleet.logs()
    accepted = record.result if record else None
    refused = logs.count("the lease of job") + logs.count("was reported too late")
    bars = [
        exactly("starts", scenario.begun(), case.starts),
        at_most("seconds until the warning", warned, WARNED, measured=True),
        holds("the warning names the job and shows the stack", job_id in logs and "in block\n" in logs),
        exactly("epoch of the accepted result", accepted, str(case.starts).encode()),
        exactly("state", record and str(record.state), "completed"),
        exactly("runs whose report was refused", min(refused, 1), case.starts - 1),
    ]
    return outcome.result(FAULT, case.name, seed=seed, bars=bars, late=warned, refused=refused)
