"""What a task's function may do to its worker."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import pytest

from aioq import JobDead, JobFailed
from aioq.errors import ResultDropped
from aioq.model.job import Failure
from aioq.model.states import JobState
from tests.redis.bad_inputs.bench import Bench

__all__ = [
    "cancels_itself", "dies", "ends_the_program", "has_no_text", "holds_anything", "result_too_large",
    "result_without_form",
]  # fmt: skip

DEADLY = """
import os, sys
import anyio
from aioq import Aarq, Worker
from aioq_redis import RedisBroker

app = Aarq(RedisBroker(sys.argv[1], namespace=sys.argv[2]))

@app.task(name="die", queue="deadly")
async def die(ctx) -> None:
    os._exit(7)

anyio.run(Worker(app, lease=1, queues=["deadly"]).run)
"""


async def failure_of(bench: Bench, error: BaseException) -> Failure:
    """Raise an error in a task, and return what is kept of it."""

    async def body(_: object) -> None:
        raise error

    job = await bench.runs(body)
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=5)
    kept = caught.value.failure
    assert len(kept.type.encode()) <= 200
    assert len(kept.message.encode()) <= 1024
    assert len(kept.traceback.encode()) <= 8192
    return kept


async def result_without_form(bench: Bench) -> None:
    """Fail the job, and do not run it again."""

    async def body(_: object) -> Any:
        bench.ran.append("body")
        return object()

    job = await bench.runs(body, retries=3, retry_delay=0)
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=5)
    assert caught.value.failure.type == "ResultSerializationError"
    assert bench.ran == ["body"]


async def result_too_large(bench: Bench) -> None:
    """Complete the job, and keep a mark in place of the result, with a warning."""

    async def body(_: object) -> str:
        return "x" * 1_048_576

    job = await bench.runs(body)
    with pytest.raises(ResultDropped, match="its result was dropped: it was too large"):
        await job.result(timeout=5)
    assert await job.state() is JobState.COMPLETED
    assert f"the result of job {job.id} of {job.task} takes 1048578 bytes" in "".join(bench.logged(logging.WARNING))


class Mute(Exception):
    """Has no text to give, and not even an error of an ordinary kind."""

    def __str__(self) -> str:
        raise SystemExit(1)

    __repr__ = __str__


async def has_no_text(bench: Bench) -> None:
    """Fail the job, with a text that is cut to 8 KiB or said not to be had."""
    assert (await failure_of(bench, Mute())).message == "(no message: the exception's __str__ raises)"
    assert (await failure_of(bench, ValueError("x" * 5_000_000))).message.endswith("xxx...")
    assert (await failure_of(bench, ValueError("\U0001f986" * 5_000_000))).message.endswith("\U0001f986...")
    odd: Any = type("N" * 5_000_000, (Exception,), {})
    assert (await failure_of(bench, odd())).type.endswith("NNN...")


async def holds_anything(bench: Bench) -> None:
    """Fail the job with text alone, whatever the exception has hold of."""
    cyclic = ValueError("cyclic")
    cyclic.args = (cyclic, threading.Lock())
    cyclic.__cause__ = cyclic
    assert (await failure_of(bench, cyclic)).type == "ValueError"
    lock = threading.Lock()
    group = ExceptionGroup("several", [ValueError(lock), KeyError("b")])
    kept = await failure_of(bench, group)
    assert (kept.type, kept.message) == (
        "ExceptionGroup",
        f"several (2 sub-exceptions): ValueError: {lock!r}; KeyError: 'b'",
    )
    assert "KeyError: 'b'" in kept.traceback


async def ends_the_program(bench: Bench) -> None:
    """Fail the job; the program does not end."""
    for error in (SystemExit(3), KeyboardInterrupt(), GeneratorExit()):
        assert (await failure_of(bench, error)).type == type(error).__name__


async def cancels_itself(bench: Bench) -> None:
    """Fail the job: a task that swallows its cancellation and ends has ended."""
    assert (await failure_of(bench, asyncio.CancelledError())).type == "CancelledError"

    async def stubborn(_: object) -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return "done anyway"

    job = await bench.runs(stubborn, timeout=0.01)
    assert await job.result(timeout=5) == "done anyway"


async def dies(bench: Bench) -> None:
    """Count as a crash each time, and be dead after three; other workers do not run it."""

    async def body(_: object) -> None:
        raise AssertionError("this worker is not to have it")

    job = await bench.app.task(name="die", queue="deadly")(body).enqueue()
    argv = [sys.executable, "-c", DEADLY, bench.url, bench.namespace]
    for crashes in range(1, 4):
        ended = await asyncio.to_thread(subprocess.run, argv, capture_output=True, timeout=20, check=False)
        assert ended.returncode == 7, ended.stderr
        record = await job.info()
        assert record is not None
        assert record.crashes == crashes - 1
        await bench.next_job()
    while not await bench.broker.reap(["deadly"], lease=1):  # a lease after the silence of its only worker
        await asyncio.sleep(0.1)
    with pytest.raises(JobDead, match="crashed"):
        await job.result(timeout=5)
