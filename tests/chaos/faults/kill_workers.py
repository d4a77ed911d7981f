"""F14: kill -9 of a random worker, two hundred times in a row."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.apps.tasks import HARDY_CRASHES
from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_least, at_most, exactly

__all__ = ["run"]

WORKERS = 3
PAUSE = (0.2, 1.5)
"""Seconds between two kills, at least and at most; beside them a new worker starts."""
BACKLOG = 400
"""Jobs in line after each kill: more than the workers can do until the next."""
GROWTH = 1e6
"""Bytes by which the server's memory may have grown when all is done."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Kill, start anew, enqueue more, and kill again."""
    load, random, kills = replace(load_of(full), concurrency=10), Random(f"{seed} F14"), 200 if full else 5
    with staged(folder, [Seat(load.arguments()) for _ in range(WORKERS)]) as stage:
        stage.fleet.start()
        stage.enqueue("hardy", 100, load.nap)
        stage.wait_all()
        baseline = _memory(stage)
        for _ in range(kills):
            stage.enqueue("hardy", max(BACKLOG - stage.producer.stats().pending, 1), load.nap)
            time.sleep(random.uniform(*PAUSE))
            victim = random.randrange(WORKERS)
            stage.fleet.kill(victim)
            stage.fleet.start(victim)
        outcome = stage.finish(patience=120)
        growth = _memory(stage) - baseline
    bars = [
        at_most("ran twice", outcome.account.twice, kills * load.concurrency),
        at_most("highest attempt", outcome.account.attempts, HARDY_CRASHES),
        exactly("dead", outcome.dead, 0),
        at_least("jobs that were cut, and begun again", outcome.account.begun_again, kills),
        at_most("bytes that the server has grown", growth, GROWTH),
    ]
    return [outcome.verdict("F14", f"{kills} kills", seed=seed, bars=bars, growth=growth)]


def _memory(stage: Stage) -> int:
    with stage.server.client() as connection:
        client: Any = connection
        client.memory_purge()
        return int(client.info("memory")["used_memory"])
