"""F6: SCRIPT FLUSH mid-run, again and again."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.stage import staged
from tests.chaos.verdict import Verdict, exactly

__all__ = ["run"]

FLUSHES = 5


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Nobody notices, not even the log."""
    load = load_of(full)
    with staged(folder, [Seat(load.arguments())]) as stage:
        stage.fleet.start()
        stage.enqueue("nap", load.jobs, load.nap)
        for n in range(1, FLUSHES + 1):
            stage.wait_ended(load.jobs * n // (FLUSHES + 1))
            with stage.server.client() as client:
                client.script_flush()
        outcome = stage.finish(patience=load.seconds + 30)
    bars = [
        exactly("ran twice", outcome.account.twice, 0),
        exactly("begun twice", outcome.account.begun_again, 0),
        exactly("lines at ERROR", outcome.errors, 0),
    ]
    return [outcome.verdict("F6", f"{FLUSHES} times", seed=seed, bars=bars)]
