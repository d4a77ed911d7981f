"""F9: a foreign writer puts garbage between the jobs. Each kind by itself is in tests/redis/bad_inputs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, at_most, exactly

__all__ = ["run"]

NEXT = 1.0
"""Seconds within which the job after the garbage begins."""
QUEUE = f"{{{NAMESPACE}:default}}:"


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Garbage, a good job, garbage, a good job..."""
    load, random, rounds = load_of(full), Random(f"{seed} F9"), 100 if full else 10
    with staged(folder, [Seat(load.arguments())]) as stage:
        stage.fleet.start()
        late = max(_round(stage, random, number) for number in range(rounds))
        # What a later version of aioq could run stays in line for an hour.
        outcome = replace(
            stage.finish(settling=1), stuck=sum(stage.producer.record(one) is not None for one in stage.asked)
        )
    bars = [
        exactly("ran twice", outcome.account.twice, 0),
        exactly("runs of what nobody enqueued", outcome.account.stray, 0),
        at_most("seconds until the next job began", late, NEXT),
    ]
    return [outcome.verdict("F9", f"{rounds} rounds", seed=seed, bars=bars, late=late, dead=outcome.dead)]


def _round(stage: Stage, random: Random, number: int) -> float:
    """Put some garbage in line and a good job behind it; return how long that took to begin."""
    with stage.server.client() as client:
        for n in range(random.randint(1, 10)):
            _put(client, f"garbage-{number}-{n}".encode(), random)
    stage.enqueue("nap", 1, 0.0)
    enqueued = _now(stage)
    stage.wait_ended(number + 1, patience=20)
    return max(mark.at for mark in stage.journal.read()) - enqueued


def _put(client: Any, job_id: bytes, random: Random) -> None:
    record = random.choice(RECORDS)(random)
    if random.random() < 0.1:
        job_id = random.randbytes(random.randint(1, 40))
    if record is not None:
        client.hset(QUEUE + "jobs", job_id, record)
    for _ in range(random.choice((1, 1, 1, 2))):
        client.lpush(f"{QUEUE}ready:{random.randrange(10)}", job_id)
    client.lpush(QUEUE + "wake", random.randbytes(4))


def _now(stage: Stage) -> float:
    with stage.server.client() as client:
        seconds, micros = client.time()
    return float(seconds) + float(micros) / 1e6


RECORDS: tuple[Callable[[Random], bytes | None], ...] = (
    lambda random: None,
    lambda random: b"",
    lambda random: random.randbytes(random.randint(1, 200)),
    lambda random: b"17 nap " + random.randbytes(20),
    lambda random: b'17 nap {"v":99}\n[[0.0],{}]',
    lambda random: b'17 nap {"v":\n[[0.0],{}]',
    lambda random: b"17 nap \n" + b"[" * random.randint(1, 100_000),
    lambda random: b'17 nap \n{"a":',
    lambda random: b"17 nap \nnull",
    lambda random: b"17 no-such-task \n[[],{}]",
    lambda random: b"-1e999 nap \n[[0.0],{}]",
    lambda random: b"17 nap\r\nERROR\x1b[31m \n[[0.0],{}]",
    lambda random: b"17 nap \n" + b"9" * 2_000_000,
    lambda random: pickle.dumps({"task": "nap"}),
    lambda random: b"17 nap \n" + pickle.dumps([[0.0], {}]),
)
"""What may stand where the record of a job should: each given a source of chance."""
