"""F11: the clocks of workers are an hour off. Jobs come due, and leases run out, on the server's clock."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.stage import staged
from tests.chaos.verdict import Verdict, at_least, at_most, exactly

__all__ = ["run"]

OFFSETS = (-3600.0, 0.0, 3600.0)
EARLY, LATE = 0.5, 1.5
"""Seconds by which a job that was put off may begin before its time, as seen from outside, and after."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Jobs that are put off, beside jobs that run for several leases."""
    load, delay = replace(load_of(full), jobs=24), 25.0 if full else 4.0
    app = "tests.chaos.apps.jobs:app"
    seats = [Seat(["-m", "tests.chaos.off_clock", app, f"{ahead:g}", f"{load.lease:g}"]) for ahead in OFFSETS]
    with staged(folder, seats) as stage:
        stage.fleet.start()
        long = stage.enqueue("nap", 6, load.lease * 3)
        put_off = set(stage.enqueue("nap", load.jobs, 0.5, defer_by=delay))
        enqueued = time.time()
        outcome = stage.finish(patience=delay + 30)
        begun = [mark for mark in stage.journal.read() if mark.what == "begin"]
    waited = [mark.at - enqueued for mark in begun if mark.job_id in put_off]
    bars = [
        at_least("seconds that a job put off waited", min(waited, default=0.0), delay - EARLY),
        at_most("seconds that a job put off waited", max(waited, default=float("inf")), delay + LATE),
        exactly("leases stolen", sum(mark.job_id in long for mark in begun) - len(long), 0),
        exactly("ran twice", outcome.account.twice, 0),
        # So many come due at once that no two workers have room for all.
        exactly("workers that took part", len({mark.pid for mark in begun}), len(OFFSETS)),
    ]
    late = max(waited, default=float("inf")) - delay
    return [outcome.verdict("F11", f"-1 h, 0, +1 h; put off {delay:g} s", seed=seed, bars=bars, late=late)]
