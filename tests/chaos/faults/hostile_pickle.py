"""F10: `enqueue` refuses a hostile pickle, and no worker or client ever loads one from the broker."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any

from aioq import Aarq
from aioq.errors import SerializationError
from aioq.model.job import NewJob
from tests.chaos.fault_result import FaultResult, exactly, holds
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["FAULT", "run"]

FAULT = "F10 hostile_pickle"

QUEUE = f"{{{NAMESPACE}:default}}:"
JOBS = 10
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


class Canary:
    """A value that creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._file,)


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Enqueue a hostile pickle, and plant others as payload, as record and as result."""
    load, file = load_of(full), folder / "canary"
    with open_scenario(folder, [WorkerProcess(load.arguments())]) as scenario:
        scenario.enqueue("swallow", JOBS, {"a": [1, "two", None]})
        records, pickles = _count_pickles(scenario)  # before they run: nothing is kept of jobs that ended
        scenario.fleet.start()
        refused = _refusal(scenario, Canary(file))
        for protocol in PROTOCOLS:
            _plant(scenario, protocol, pickle.dumps(Canary(file), protocol))
        read = _read_result(scenario, pickle.dumps(Canary(file)))
        scenario.wait_all()
        scenario.wait(lambda: scenario.producer.stats().dead == 2 * len(PROTOCOLS), timeout=10)
        outcome = scenario.finish()
    bars = [
        exactly("error of enqueue", refused, "SerializationError"),
        exactly("error of reading it as a result", read, "SerializationError"),
        holds("the canary was never unpickled", not file.exists()),
        exactly("planted jobs that are dead", outcome.dead, 2 * len(PROTOCOLS)),
        exactly("records that aioq wrote", records, JOBS),
        exactly("pickles among the records that aioq wrote", pickles, 0),
        exactly("runs of jobs that were not enqueued", outcome.figures.stray, 0),
    ]
    return [outcome.result(FAULT, "", seed=seed, bars=bars)]


def _refusal(scenario: Scenario, canary: Canary) -> str:
    try:
        scenario.producer.enqueue("swallow", 1, canary)
    except SerializationError:
        return "SerializationError"
    return "nothing"


def _plant(scenario: Scenario, protocol: int, data: bytes) -> None:
    """Plant a pickle as the payload of a job, and as the whole record of another."""
    scenario.producer.enqueue_raw([NewJob(id=f"planted-{protocol}", task="swallow", queue="default", payload=data)])
    with scenario.server.client() as client:
        client.hset(QUEUE + "jobs", f"raw-{protocol}", data)
        client.lpush(QUEUE + "ready:5", f"raw-{protocol}")


def _read_result(scenario: Scenario, data: bytes) -> str:
    """Let a client read a result that is a pickle; return the error."""
    (job_id,) = scenario.enqueue("block", 1, 0.0)
    scenario.wait(lambda: _ended(scenario, job_id), 20)
    with scenario.server.client() as connection:
        client: Any = connection
        head, run, rest = client.hget(QUEUE + "ended", job_id).split(b"\n", 2)
        state, version, moment, _, *others = head.split(b" ")
        head = b" ".join([state, version, moment, str(len(data)).encode(), *others])
        # The result was the epoch, which has one digit; the record of the job follows it.
        client.hset(QUEUE + "ended", job_id, b"\n".join([head, run, data + rest[1:]]))

    async def read(app: Aarq) -> str:
        try:
            await app.tasks["block"].job(job_id).result(timeout=5)
        except SerializationError:
            return "SerializationError"
        return "nothing"

    return scenario.producer.with_app(read)


def _ended(scenario: Scenario, job_id: str) -> bool:
    record = scenario.producer.record(job_id)
    return record is not None and record.finished_at is not None


def _count_pickles(scenario: Scenario) -> tuple[int, int]:
    """Return how many records of jobs aioq has written, and how many of them are pickles."""
    with scenario.server.client() as connection:
        client: Any = connection
        records = list(client.hgetall(QUEUE + "jobs").values())
    return len(records), sum(_is_pickle(record) for record in records)


def _is_pickle(value: bytes) -> bool:
    at = value.find(b"\x80")
    try:
        return at >= 0 and bool(list(pickletools.genops(value[at:])))
    except ValueError:
        return False
