"""F7: a job that takes its worker down, among twenty innocents that need every retry they have."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from aioq.model.states import JobState
from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_most, exactly

__all__ = ["run"]

INNOCENTS = 20
STARTS = 3
DEAD_AFTER = 20.0
"""Seconds from its first start until the poison is dead."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Start a worker anew each time that it is taken down, until the poison is dead."""
    load = replace(load_of(full), concurrency=INNOCENTS + 5)
    with staged(folder, [Seat(load.arguments())]) as stage:
        (poison,) = stage.producer.enqueue("poison", 1)
        innocents = stage.enqueue("innocent", INNOCENTS, load.nap)
        stage.fleet.start()
        dead_at = _wait_dead(stage, poison)
        outcome = stage.finish()
        record = stage.producer.record(poison)
        failed = sum(_state(stage, job_id) is not JobState.COMPLETED for job_id in innocents)
    starts = [mark.at for mark in stage.journal.read() if mark.job_id == poison]
    late = dead_at - min(starts)
    bars = [
        at_most("starts of the poison", len(starts), STARTS),
        exactly("state of the poison", record and f"{record.state} {record.reason}", "dead crashed"),
        at_most("seconds until it was dead", late, DEAD_AFTER),
        exactly("innocents that did not complete with the retries they have", failed, 0),
        exactly("innocents that ran twice", outcome.account.twice, 0),
    ]
    # It is the worker that the poison takes down with it: each of its starts costs one.
    calm = replace(outcome, exits=max(outcome.exits - len(starts), 0))
    return [calm.verdict("F7", "", seed=seed, bars=bars, late=late, worker_starts=len(starts) + 1)]


def _wait_dead(stage: Stage, poison: str) -> float:
    """Keep a worker up until the poison is dead; return the moment."""

    def is_dead() -> bool:
        stage.fleet.revive()
        return _state(stage, poison) is JobState.DEAD

    deadline = time.time() + 60
    while time.time() < deadline and not is_dead():
        time.sleep(0.2)
    return time.time()


def _state(stage: Stage, job_id: str) -> JobState | None:
    record = stage.producer.record(job_id)
    return record.state if record else None
