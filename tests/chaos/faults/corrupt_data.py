"""F9: another program writes garbage between the jobs. tests/redis/bad_inputs tests each kind of garbage."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.fault_result import FaultResult, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F9 corrupt_data"

NEXT_BEGINS = 1.0
"""Seconds within which the job behind the garbage begins."""
QUEUE = f"{{{NAMESPACE}:default}}:"


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Alternate garbage and good jobs."""
    load, random, rounds = load_of(full), Random(f"{seed} F9"), 100 if full else 10
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        scenario.fleet.start()
        late = max(_round(scenario, random, number) for number in range(rounds))
        # Jobs that a later version of aioq could run stay in the queue for an hour, so only own jobs count.
        outcome = replace(
            scenario.finish(settle_timeout=1),
            stuck=sum(scenario.producer.record(one) is not None for one in scenario.enqueued),
        )
    bars = [
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("runs of jobs that were not enqueued", outcome.figures.stray, 0),
        at_most("seconds until the next job began", late, NEXT_BEGINS, measured=True),
    ]
    return [outcome.result(FAULT, f"{rounds} rounds", seed=seed, bars=bars, late=late, dead=outcome.dead)]


def _round(scenario: Scenario, random: Random, number: int) -> float:
    """Put garbage into the queue with a good job behind it; return the seconds until that job began."""
    with scenario.server.client() as client:
        for n in range(random.randint(1, 10)):
            _put(client, f"garbage-{number}-{n}".encode(), random)
    scenario.enqueue("nap", 1, 0.0)
    enqueued = _now(scenario)
    scenario.wait_ended(number + 1, timeout=20)
    return max(event.at for event in scenario.job_log.read()) - enqueued


def _put(client: Any, job_id: bytes, random: Random) -> None:
    record = random.choice(RECORDS)(random)
    if random.random() < 0.1:
        job_id = random.randbytes(random.randint(1, 40))
    if record is not None:
        client.hset(QUEUE + "jobs", job_id, record)
    for _ in range(random.choice((1, 1, 1, 2))):
        client.lpush(f"{QUEUE}ready:{random.randrange(10)}", job_id)
    client.lpush(QUEUE + "wake", random.randbytes(4))


def _now(scenario: Scenario) -> float:
    with scenario.server.client() as client:
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
"""Bytes in place of a job's record; None leaves out the record."""
