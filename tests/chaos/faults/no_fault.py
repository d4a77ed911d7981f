"""F19: nothing bad happens, for a hundred thousand jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_most, exactly
from tests.redis.layout import keys_of

__all__ = ["run"]

GROWTH = 5e6
"""Bytes by which the worker may have grown since it was warm."""
FOR_EVER = {f"{{{NAMESPACE}}}:queues", f"{{{NAMESPACE}:default}}:wake"}
"""Keys that may be left: bounded by the names of queues."""


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Keep one worker busy, and look at what it and the server have left at the end."""
    load = replace(load_of(full), concurrency=100)
    jobs, wave = (100_000, 10_000) if full else (3_000, 1_000)
    with staged(folder, [Seat(load.arguments())]) as stage:
        stage.fleet.start()
        warm = 0
        for _ in range(0, jobs, wave):
            stage.enqueue("nap", wave, 0.0)
            stage.wait_all(patience=120)
            warm = warm or _memory(stage)
        growth = _memory(stage) - warm
        outcome = stage.finish()
        with stage.server.client() as client:
            left = [key for key in keys_of(client, NAMESPACE) if client.pttl(key) == -1 and key not in FOR_EVER]
    bars = [
        exactly("ran twice", outcome.account.twice, 0),
        exactly("begun twice", outcome.account.begun_again, 0),
        exactly("keys left for ever", ", ".join(left) or 0, 0),
        at_most("bytes that the worker has grown", growth, GROWTH),
    ]
    return [outcome.verdict("F19", "", seed=seed, bars=bars, growth=growth, left=left)]


def _memory(stage: Stage) -> int:
    """Return the resident memory of the worker in bytes."""
    for line in Path(f"/proc/{stage.fleet.pid(0)}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not tell the memory of a process")
