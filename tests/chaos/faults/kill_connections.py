"""F5: all connections of the workers are killed, twice a second."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_least, at_most

__all__ = ["run"]

EVERY = 0.5
TWICE = 5
THROUGHPUT = 0.5
"""The share of the usual that must be left."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Compare how many jobs end in a second before and during the kills."""
    load, calm, long = load_of(full), 3.0 if full else 1.0, 10.0 if full else 3.0
    jobs = round((calm + long + 4) / load.nap * load.concurrency)
    with staged(folder, [Seat(load.arguments())]) as stage:
        stage.fleet.start()
        stage.enqueue("nap", jobs, load.nap)
        stage.wait_ended(load.concurrency)
        usual = _pace(stage, calm, killing=False)
        disturbed = _pace(stage, long, killing=True)
        outcome = stage.finish(patience=load.seconds + 30)
    bars = [
        at_most("ran twice", outcome.account.twice, TWICE),
        at_least("share of the usual throughput", round(disturbed / usual, 3), THROUGHPUT),
    ]
    return [outcome.verdict("F5", f"for {long:g} s", seed=seed, bars=bars, usual=usual, disturbed=disturbed)]


def _pace(stage: Stage, seconds: float, *, killing: bool) -> float:
    """Return how many runs came to their end, per second."""
    before, started = stage.ended(), time.time()
    while time.time() < started + seconds:
        if killing:
            _kill_all(stage)
        time.sleep(EVERY)
    return (stage.ended() - before) / (time.time() - started)


def _kill_all(stage: Stage) -> None:
    with stage.server.client() as connection:
        client: Any = connection
        for kind in ("normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
