"""F2: SIGTERM mid-run. Jobs that end within the grace do; those that do not are cut, and run again elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import Load, load_of
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_most, exactly

__all__ = ["run"]

SLACK = 1.0
"""Seconds beyond its longest job that a worker may take to leave, and within which a cut job runs again."""
GRACE = 1.0
"""Seconds that jobs have which take too long for it."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Stop a worker whose jobs are short, and one whose jobs are long."""
    load = load_of(full)
    return [_short(load, seed, folder / "short"), _cut(load, seed, folder / "cut")]


def _short(load: Load, seed: int, folder: Path) -> Verdict:
    with staged(folder, [Seat(load.arguments()), Seat(load.arguments())]) as stage:
        stage.fleet.start(0)
        stage.enqueue("nap", load.jobs, load.nap)
        stage.wait_ended(load.jobs * 3 // 10)
        seconds = _stop_first(stage)
        cut = stage.under_way()
        code = stage.fleet.exits[0]
        stage.fleet.start(1)
        outcome = stage.finish(patience=load.seconds + 30)
    bars = [
        exactly("exit code", code, 0),
        exactly("begun and not ended within the grace", cut, 0),
        at_most("seconds from SIGTERM to the exit, beyond the longest job", seconds - load.nap, SLACK),
        exactly("ran twice", outcome.account.twice, 0),
        exactly("begun twice", outcome.account.begun_again, 0),
    ]
    return outcome.verdict("F2", "jobs end in time", seed=seed, bars=bars, late=seconds)


def _cut(load: Load, seed: int, folder: Path) -> Verdict:
    with staged(folder, [Seat(load.arguments("--grace", f"{GRACE:g}")), Seat(load.arguments())]) as stage:
        stage.fleet.start(0)
        stage.enqueue("nap", load.concurrency, 60.0, load.nap)
        stage.wait(lambda: stage.begun() == load.concurrency)
        stage.fleet.start(1)
        stopped = time.time()
        seconds = _stop_first(stage)
        code = stage.fleet.exits[0]
        outcome = stage.finish()
        again = [mark.at for mark in stage.journal.read() if mark.what == "begin"][load.concurrency :]
        attempts = outcome.account.attempts
    late = max(again, default=stopped) - stopped - GRACE
    bars = [
        exactly("exit code", code, 0),
        exactly("jobs cut and begun again", len(again), load.concurrency),
        at_most("seconds from the cut until all ran again", late, SLACK),
        exactly("highest attempt: that of a cut is given back", attempts, 1),
        exactly("ran twice", outcome.account.twice, 0),
    ]
    return outcome.verdict("F2", "jobs are cut", seed=seed, bars=bars, late=late, exit_after=seconds)


def _stop_first(stage: Stage) -> float:
    """Stop the first worker; return how many seconds it took to leave."""
    before = time.time()
    stage.fleet.stop(0)
    return time.time() - before
