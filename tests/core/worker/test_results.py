"""How results and failures are stored: encoding, size, time to live."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from aioq import Aarq, JobFailed
from aioq.errors import JobNotFound, ResultDropped
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, next_job_runs


async def test_result_expires_after_result_ttl(clock: VirtualClock) -> None:
    """After `result_ttl` seconds nothing is left of an ended job, and its id is free again."""
    app = Aarq(FlakyBroker(clock=clock))

    @app.task(result_ttl=60)
    async def work(_: object, n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return n

    good, bad = await work.options(job_id="good").enqueue(1), await work.options(job_id="bad").enqueue(-1)
    await drain(app)
    await clock.advance(59)
    assert (await good.state(), await bad.state()) == (JobState.COMPLETED, JobState.FAILED)
    await clock.advance(2)
    assert (await good.info(), await bad.info()) == (None, None)
    await work.options(job_id="good").enqueue(2)


async def test_result_without_json_form_fails_without_retry(app: Aarq) -> None:
    """The job fails and is not retried, although retries are left: it would return the same."""
    runs: list[int] = []

    @app.task(name="wrong", retries=5, retry_delay=0)
    async def wrong(_: object) -> Any:
        runs.append(1)
        return {"x": [object()]}

    job = await wrong.enqueue()
    assert await next_job_runs(app)
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=5)
    assert caught.value.failure.type == "ResultSerializationError"
    assert caught.value.failure.message.startswith("the result of wrong ")
    assert caught.value.failure.message.endswith("cannot be stored: ['x'][0]: object has no JSON form")
    assert runs == [1]


async def test_result_nan_fails_the_job(app: Aarq) -> None:
    """A result of NaN fails the job: it would arrive as None."""

    @app.task
    async def ratio(_: object) -> list[float]:
        return [1.0, float("nan")]

    job = await ratio.enqueue()
    await drain(app)
    with pytest.raises(JobFailed, match=r"\[1\]: nan has no JSON form$"):
        await job.result(timeout=5)


async def test_result_invalid_unicode_fails_the_job(app: Aarq) -> None:
    """A lone surrogate in a result fails the job with a message that says so."""

    @app.task
    async def odd(_: object) -> str:
        return "\ud800"

    job = await odd.enqueue()
    await drain(app)
    with pytest.raises(JobFailed, match="the text is not valid Unicode"):
        await job.result(timeout=5)


async def test_result_with_save_result_false_is_not_encoded(app: Aarq, broker: FlakyBroker) -> None:
    """`save_result=False` accepts every result, and nothing is left of the job."""

    @app.task(save_result=False)
    async def work(_: object) -> object:
        return object()

    job = await work.enqueue()
    await drain(app)
    assert await job.info() is None
    with pytest.raises(JobNotFound, match="save_result=False"):
        await job.result(timeout=5)
    assert repr(broker) == "MemoryBroker(0 jobs)"


async def test_failure_with_save_result_false_is_kept(app: Aarq) -> None:
    """A failure is kept with `save_result=False` as long as a result would be."""

    @app.task(save_result=False)
    async def work(_: object) -> None:
        raise ValueError("no")

    job = await work.enqueue()
    await drain(app)
    with pytest.raises(JobFailed, match="ValueError: no"):
        await job.result(timeout=5)


async def test_result_ttl_of_zero_keeps_nothing(app: Aarq) -> None:
    """`result_ttl=0` keeps neither results nor failures."""

    @app.task(result_ttl=0)
    async def work(_: object, fail: bool) -> str:
        if fail:
            raise ValueError("no")
        return "yes"

    jobs = [await work.enqueue(fail=fail) for fail in (False, True)]
    await drain(app)
    assert [await job.info() for job in jobs] == [None, None]


async def test_result_over_max_payload_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """The job completes without its result; the log and ResultDropped say why."""
    app = Aarq(FlakyBroker(), max_payload=100)

    @app.task(name="big")
    async def big(_: object) -> str:
        return "x" * 99

    job = await big.enqueue()
    await drain(app)
    assert await job.state() is JobState.COMPLETED
    with pytest.raises(ResultDropped, match="its result was dropped: it was too large"):
        await job.result(timeout=5)
    assert (
        "aioq.worker",
        logging.WARNING,
        f"the result of job {job.id} of big takes 101 bytes, more than max_payload=100, and was dropped",
    ) in caplog.record_tuples
