"""F13: the server is at its maxmemory and evicts nothing. Who enqueues hears of it, and workers empty the queue."""

from __future__ import annotations

import time
from pathlib import Path

from aioq.errors import BrokerFull
from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_least, at_most, exactly

__all__ = ["run"]

HEARD = 1.0
"""Seconds within which who enqueues is told."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Fill it up mid-run, and make room again near the end."""
    load = load_of(full)
    with staged(folder, [Seat(load.arguments())], options=("--maxmemory-policy", "noeviction")) as stage:
        stage.fleet.start()
        stage.enqueue("nap", load.jobs, load.nap)
        stage.wait_ended(load.jobs * 3 // 10)
        with stage.server.client() as client:
            client.config_set("maxmemory", 1)
        error, seconds = _refused(stage)
        before = load.jobs - stage.producer.stats().running - stage.producer.stats().pending
        stage.wait_ended(load.jobs * 8 // 10)
        acknowledged = load.jobs - stage.producer.stats().running - stage.producer.stats().pending - before
        with stage.server.client() as client:
            client.config_set("maxmemory", 0)
        stage.enqueue("nap", 10, load.nap)
        outcome = stage.finish(patience=load.seconds + 30)
    bars = [
        exactly("enqueueing raises", error, "BrokerFull"),
        at_most("seconds until it does", seconds, HEARD),
        at_least("jobs acknowledged while it was full", acknowledged, load.jobs // 10 * 3),
        exactly("ran twice", outcome.account.twice, 0),
        exactly("begun twice", outcome.account.begun_again, 0),
    ]
    return [outcome.verdict("F13", "", seed=seed, bars=bars, late=seconds, acknowledged=acknowledged)]


def _refused(stage: Stage) -> tuple[str, float]:
    before = time.time()
    try:
        stage.producer.enqueue("nap", 1, 0.0)
    except BrokerFull as error:
        return type(error).__name__, time.time() - before
    return "nothing", time.time() - before
