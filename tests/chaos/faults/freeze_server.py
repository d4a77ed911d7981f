"""F4: the server stands still: connections stay open, and nothing is answered."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import Load, load_of
from tests.chaos.stage import staged
from tests.chaos.verdict import Verdict, at_most

__all__ = ["run"]

LONG_LEASE = 30.0
"""Seconds, with which no job may run twice."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Let it stand still for longer than a lease, and for less."""
    load, still = load_of(full), 8.0 if full else 2.0
    short = _still(still, load, load.concurrency, seed, folder / "short")
    long = _still(still, replace(load, lease=LONG_LEASE), 0, seed, folder / "long")
    return [short, long]


def _still(seconds: float, load: Load, twice: int, seed: int, folder: Path) -> Verdict:
    with staged(folder, [Seat(load.arguments())]) as stage:
        stage.fleet.start()
        stage.enqueue("nap", load.jobs, load.nap)
        stage.wait_ended(load.jobs * 3 // 10)
        stage.server.pause()
        time.sleep(seconds)
        stage.server.resume()
        resumed = time.time()
        outcome = stage.finish(patience=load.seconds + load.lease * 2 + 30)
        again = [mark.at for mark in stage.journal.read() if mark.what == "begin" and mark.at > resumed]
    return outcome.verdict(
        "F4", f"for {seconds:g} s, lease {load.lease:g} s", seed=seed, late=min(again, default=resumed) - resumed,
        bars=[at_most("ran twice", outcome.account.twice, twice)],
    )  # fmt: skip
