"""F3: the server is shut down and started again with its data, at once and after an outage."""

from __future__ import annotations

import time
from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import Load, load_of
from tests.chaos.stage import DURABLE, staged
from tests.chaos.verdict import Verdict, at_most

__all__ = ["run"]

CONSUMING = 2.0
"""Seconds after the server is ready within which the next job begins."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Restart it at once, and let it be away for longer."""
    return [_away(seconds, load_of(full), seed, folder / f"{seconds:g}") for seconds in ((0, 60) if full else (0, 2))]


def _away(seconds: float, load: Load, seed: int, folder: Path) -> Verdict:
    with staged(folder, [Seat(load.arguments())], options=DURABLE) as stage:
        stage.fleet.start()
        stage.enqueue("nap", load.jobs, load.nap)
        stage.wait_ended(load.jobs * 3 // 10)
        stage.server.stop()
        time.sleep(seconds)
        stage.server.start()
        ready = time.time()
        outcome = stage.finish(patience=load.seconds + 30)
        again = [mark.at for mark in stage.journal.read() if mark.what == "begin" and mark.at > ready]
    late = min(again, default=float("inf")) - ready
    bars = [
        at_most("ran twice", outcome.account.twice, load.concurrency),
        at_most("seconds until the next job began", late, CONSUMING),
    ]
    return outcome.verdict("F3", f"away for {seconds:g} s", seed=seed, bars=bars, late=late)
