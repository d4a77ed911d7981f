"""F10: a hostile pickle is refused where it is enqueued, and where it stands in the broker it is never run."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any

from aioq import Aarq
from aioq.errors import SerializationError
from aioq.model.job import NewJob
from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Verdict, exactly, holds

__all__ = ["run"]

QUEUE = f"{{{NAMESPACE}:default}}:"
JOBS = 10
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._file,)


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Try to enqueue one; then plant some as payload, as record, and as result."""
    load, file = load_of(full), folder / "canary"
    with staged(folder, [Seat(load.arguments())]) as stage:
        stage.enqueue("swallow", JOBS, {"a": [1, "two", None]})
        looked_at, at_rest = _at_rest(stage)  # while nobody has run them: nothing is kept of what has ended
        stage.fleet.start()
        refused = _refusal(stage, Canary(file))
        for protocol in PROTOCOLS:
            _plant(stage, protocol, pickle.dumps(Canary(file), protocol))
        read = _read_result(stage, pickle.dumps(Canary(file)))
        stage.wait_all()
        stage.wait(lambda: stage.producer.stats().dead == 2 * len(PROTOCOLS), patience=10)
        outcome = stage.finish()
    bars = [
        exactly("enqueueing it raises", refused, "SerializationError"),
        exactly("reading it as a result raises", read, "SerializationError"),
        holds("the canary was never run", not file.exists()),
        exactly("planted ones that are dead", outcome.dead, 2 * len(PROTOCOLS)),
        exactly("records that aioq wrote and that were looked at", looked_at, JOBS),
        exactly("pickles at rest in what aioq wrote", at_rest, 0),
        exactly("runs of what nobody enqueued", outcome.account.stray, 0),
    ]
    return [outcome.verdict("F10", "", seed=seed, bars=bars)]


def _refusal(stage: Stage, canary: Canary) -> str:
    try:
        stage.producer.enqueue("swallow", 1, canary)
    except SerializationError:
        return "SerializationError"
    return "nothing"


def _plant(stage: Stage, protocol: int, data: bytes) -> None:
    """Plant it as the payload of a job, and in place of the whole of one."""
    stage.producer.enqueue_raw([NewJob(id=f"planted-{protocol}", task="swallow", queue="default", payload=data)])
    with stage.server.client() as client:
        client.hset(QUEUE + "jobs", f"raw-{protocol}", data)
        client.lpush(QUEUE + "ready:5", f"raw-{protocol}")


def _read_result(stage: Stage, data: bytes) -> str:
    """Have a client read a result that is a pickle."""
    (job_id,) = stage.enqueue("block", 1, 0.0)
    stage.wait(lambda: _ended(stage, job_id), 20)
    with stage.server.client() as connection:
        client: Any = connection
        head, run, rest = client.hget(QUEUE + "ended", job_id).split(b"\n", 2)
        state, version, moment, _, *others = head.split(b" ")
        head = b" ".join([state, version, moment, str(len(data)).encode(), *others])
        # The result was the epoch, one digit; the record of the job comes after it.
        client.hset(QUEUE + "ended", job_id, b"\n".join([head, run, data + rest[1:]]))

    async def read(app: Aarq) -> str:
        try:
            await app.tasks["block"].job(job_id).result(timeout=5)
        except SerializationError:
            return "SerializationError"
        return "nothing"

    return stage.producer.visit(read)


def _ended(stage: Stage, job_id: str) -> bool:
    record = stage.producer.record(job_id)
    return record is not None and record.finished_at is not None


def _at_rest(stage: Stage) -> tuple[int, int]:
    """Return how many records of jobs aioq has written, and how many of them are pickles."""
    with stage.server.client() as connection:
        client: Any = connection
        records = list(client.hgetall(QUEUE + "jobs").values())
    return len(records), sum(_is_pickle(record) for record in records)


def _is_pickle(value: bytes) -> bool:
    at = value.find(b"\x80")
    try:
        return at >= 0 and bool(list(pickletools.genops(value[at:])))
    except ValueError:
        return False
