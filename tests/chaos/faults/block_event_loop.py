"""F8: a task blocks the event loop, for less than `max_block` and for more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import Load, load_of
from tests.chaos.stage import staged
from tests.chaos.verdict import Verdict, at_most, exactly, holds

__all__ = ["run"]

WARNED = 2.0
"""Seconds after which the log names the job and shows where it is."""
WARNING = "the event loop has been blocked"


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    block: float
    max_block: float
    starts: int


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Two workers, so that there is one that could take the job over."""
    load, block = load_of(full), 15.0 if full else 3.0
    cases = [_Case("shorter than max_block", block, 60, 1), _Case("longer", block, load.lease, 2)]
    return [_block(case, load, seed, folder / f"{case.starts}") for case in cases]


def _block(case: _Case, load: Load, seed: int, folder: Path) -> Verdict:
    seats = [Seat(load.arguments("--max-block", f"{case.max_block:g}")) for _ in range(2)]
    with staged(folder, seats) as stage:
        stage.fleet.start()
        (job_id,) = stage.enqueue("block", 1, case.block)
        stage.wait(lambda: WARNING in stage.fleet.logs())
        warned = time.time() - stage.journal.read()[0].at
        # Until whoever was blocked has found out what became of its job.
        stage.wait_ended(case.starts, patience=case.block + load.lease * 3 + 10)
        outcome = stage.finish()
        record, logs = stage.producer.record(job_id), stage.fleet.logs()
    accepted = record.result if record else None
    refused = logs.count("the lease of job") + logs.count("was reported too late")
    bars = [
        exactly("starts", stage.begun(), case.starts),
        at_most("seconds until the warning", warned, WARNED),
        holds("the warning names the job and shows the stack", job_id in logs and "in block\n" in logs),
        exactly("epoch of the accepted result", accepted, str(case.starts).encode()),
        exactly("state", record and str(record.state), "completed"),
        exactly("runs that were refused their say", min(refused, 1), case.starts - 1),
    ]
    return outcome.verdict("F8", case.name, seed=seed, bars=bars, late=warned, refused=refused)
