"""Tasks that misbehave: their job fails, the worker goes on."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, JobDead, JobFailed, Worker
from aioq.errors import JobEnded
from aioq.model.job import NewJob
from aioq.model.states import JobState
from aioq.serialization.json_codec import JsonCodec
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, record_of, settle_down, until, working

Body: TypeAlias = Callable[[], object]


class Mute(Exception):
    """Raises when it is asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("no comment")


async def next_job_runs(app: Aarq) -> bool:
    """Whether the worker, having run everything before, still runs a decent job."""

    @app.task(name="decent")
    async def decent(_: object) -> bool:
        return True

    job = await decent.enqueue()
    await drain(app)
    return await job.result(timeout=5)


@pytest.mark.parametrize("threaded", [False, True], ids=["async", "thread"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        StopIteration(),
        Mute(),
        RecursionError("deep"),
        MemoryError(),
        ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
        BaseExceptionGroup("two", [SystemExit(1), KeyError("b")]),
        ValueError("x" * 5_000_000),
        FileNotFoundError("caf\udce9"),
    ],
    ids=lambda error: type(error).__name__ if isinstance(error, BaseException) else None,
)
async def test_whatever_a_task_raises_its_job_fails(
    app: Aarq, broker: FlakyBroker, error: BaseException, threaded: bool
) -> None:
    """Even what would end a program ends only the job."""

    async def body(_: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    def thread(_: object) -> None:
        raise error

    job = await app.task(name="bad")(thread if threaded else body).enqueue()
    assert await next_job_runs(app)
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=5)
    # Python itself makes a RuntimeError of a StopIteration that leaves a coroutine or a thread.
    expected = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__
    assert caught.value.failure.type == expected
    assert len(caught.value.failure.message) <= 1024
    assert len(caught.value.failure.traceback) <= 8192


async def test_a_cancellation_of_ones_own_making_is_a_failure(app: Aarq) -> None:
    """A task that cancels itself by the event loop's own means fails like any other."""

    @app.task
    async def suicide(_: object) -> None:
        if sys.modules.get("trio") and anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    job = await suicide.enqueue()
    assert await next_job_runs(app)
    with pytest.raises(JobFailed, match="CancelledError"):
        await job.result(timeout=5)


async def test_a_scope_of_the_tasks_own_is_its_own_business(app: Aarq) -> None:
    """Timeouts and task groups inside a task work as anywhere."""

    @app.task
    async def nested(_: object) -> str:
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()
        async with anyio.create_task_group() as tg:
            tg.start_soon(anyio.sleep_forever)
            tg.cancel_scope.cancel()
        return "fine"

    job = await nested.enqueue()
    await drain(app)
    assert await job.result(timeout=5) == "fine"


# Timeouts


async def test_a_task_that_takes_too_long_is_cut_off(app: Aarq) -> None:
    """After its timeout the attempt fails, with a TimeoutError that says how long it had."""
    cleaned = anyio.Event()

    @app.task(timeout=0.01)
    async def slow(_: object) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.set()

    job = await slow.enqueue()
    await drain(app)
    with pytest.raises(JobFailed, match=r"TimeoutError: the task took longer than its timeout of 0\.01 s$"):
        await job.result(timeout=5)
    assert cleaned.is_set()


async def test_a_timeout_is_retried_like_any_error(app: Aarq, broker: FlakyBroker) -> None:
    """And each attempt has its own time."""

    @app.task(timeout=0.01, retries=1, retry_delay=0)
    async def slow(ctx: dict[str, Any]) -> int:
        if ctx["attempt"] == 1:
            await anyio.sleep_forever()
        return 7

    job = await slow.enqueue()
    await drain(app)
    assert await job.result(timeout=5) == 7


async def test_a_thread_that_takes_too_long_is_left_behind(app: Aarq) -> None:
    """A thread cannot be stopped; its job fails on time, and the slot is free."""
    release = threading.Event()

    @app.task(timeout=0.01)
    def slow(_: object) -> None:
        release.wait(5)

    job = await slow.enqueue()
    try:
        await drain(app, concurrency=1)
        with pytest.raises(JobFailed, match="TimeoutError"):
            await job.result(timeout=5)
    finally:
        release.set()


async def test_a_task_that_ends_though_it_was_cut_off_has_ended(app: Aarq) -> None:
    """Who swallows the cancellation and returns has a result."""

    @app.task(timeout=0.01)
    async def stubborn(_: object) -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            pass
        return "done anyway"

    job = await stubborn.enqueue()
    await drain(app)
    assert await job.result(timeout=5) == "done anyway"


# Results


async def test_a_result_without_a_json_form_fails_the_job_once(app: Aarq) -> None:
    """The body is not run again, though retries are left: it would return the same."""
    runs: list[int] = []

    @app.task(retries=5, retry_delay=0)
    async def wrong(_: object) -> Any:
        runs.append(1)
        return {"x": [object()]}

    job = await wrong.enqueue()
    assert await next_job_runs(app)
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=5)
    assert caught.value.failure.type == "ResultSerializationError"
    assert caught.value.failure.message.startswith("the result of tests.core.worker.test_task_errors.")
    assert caught.value.failure.message.endswith("cannot be stored: ['x'][0]: object has no JSON form")
    assert runs == [1]


async def test_a_result_of_nan_fails_the_job(app: Aarq) -> None:
    """It would arrive as None, in silence."""

    @app.task
    async def ratio(_: object) -> list[float]:
        return [1.0, float("nan")]

    job = await ratio.enqueue()
    await drain(app)
    with pytest.raises(JobFailed, match=r"\[1\]: nan has no JSON form$"):
        await job.result(timeout=5)


async def test_an_unwanted_result_may_be_anything(app: Aarq, broker: FlakyBroker) -> None:
    """With `save_result=False` it is not even looked at, and nothing is left of the job."""

    @app.task(save_result=False)
    async def work(_: object) -> object:
        return object()

    job = await work.enqueue()
    await drain(app)
    assert await job.info() is None
    with pytest.raises(JobEnded, match="save_result=False"):
        await job.result(timeout=5)
    assert repr(broker) == "MemoryBroker(0 jobs)"


async def test_a_failure_is_kept_without_save_result(app: Aarq) -> None:
    """What went wrong is kept all the same, for as long as results would be."""

    @app.task(save_result=False)
    async def work(_: object) -> None:
        raise ValueError("no")

    job = await work.enqueue()
    await drain(app)
    with pytest.raises(JobFailed, match="ValueError: no"):
        await job.result(timeout=5)


async def test_nothing_is_kept_for_no_time(app: Aarq) -> None:
    """`result_ttl=0` keeps neither results nor failures."""

    @app.task(result_ttl=0)
    async def work(_: object, fail: bool) -> str:
        if fail:
            raise ValueError("no")
        return "yes"

    jobs = [await work.enqueue(fail=fail) for fail in (False, True)]
    await drain(app)
    assert [await job.info() for job in jobs] == [None, None]


async def test_a_result_that_is_too_large_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """The job completed; a warning says why there is no result, and so does JobEnded."""
    app = Aarq(FlakyBroker(), max_payload=100)

    @app.task(name="big")
    async def big(_: object) -> str:
        return "x" * 99

    job = await big.enqueue()
    await drain(app)
    assert await job.state() is JobState.COMPLETED
    with pytest.raises(JobEnded, match="its result was too large to store"):
        await job.result(timeout=5)
    assert (
        "aioq.worker",
        logging.WARNING,
        f"the result of job {job.id} of big takes 101 bytes, more than max_payload=100, and was dropped",
    ) in caplog.record_tuples


# Jobs that no task can run


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"null", b"[]", b"5", b'{"x":"a"}', b'{"x":1,"y":2}', b"\xff\xfe", b'{"x":"\xff"}', b"\x80\x05\x95.",
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000, b'{"x":' + b"9" * 10_000 + b"}",
    ],
    ids=["empty", "cut", "null", "list", "number", "type", "extra", "bom", "utf8", "pickle", "deep", "open", "huge"],
)  # fmt: skip
async def test_a_payload_that_nobody_can_read_is_dead(app: Aarq, broker: FlakyBroker, payload: bytes) -> None:
    """It is kept as it is, among the dead, as `malformed`; the worker goes on."""

    @app.task(name="work", retries=5)
    async def work(_: object, x: int) -> int:
        return x

    await broker.enqueue([NewJob(id="j", task="work", queue="default", payload=payload)])
    assert await next_job_runs(app)
    record = await record_of(broker, "j")
    assert (record.state, record.reason, record.payload, record.attempt) == (JobState.DEAD, "malformed", payload, 1)
    with pytest.raises(JobDead, match="^job j is dead: malformed: "):
        await work.job("j").result(timeout=5)


async def test_a_type_that_ends_the_program_as_it_is_read_fails_its_job(app: Aarq, broker: FlakyBroker) -> None:
    """A SystemExit out of a `__post_init__` ends neither the worker nor the jobs beside it."""

    @dataclass
    class Final:
        word: str

        def __post_init__(self) -> None:
            if self.word == "end":
                raise SystemExit(3)

    async def work(_: object, final: Any) -> str:
        return "done"

    work.__annotations__["final"] = Final
    task = app.task(name="work")(work)
    await broker.enqueue(
        [NewJob(id=word, task="work", queue="default", payload=b'{"final":{"word":"%b"}}' % word.encode())
         for word in ("end", "go")]
    )  # fmt: skip
    await drain(app)
    assert await task.job("go").result(timeout=5) == "done"
    failure = (await record_of(broker, "end")).failure
    assert failure is not None
    assert (failure.type, failure.message) == ("SystemExit", "3")


async def test_a_codec_that_breaks_is_no_fault_of_the_job(broker: FlakyBroker) -> None:
    """Whatever it raises, the attempt has failed and may be repeated."""

    class Broken(JsonCodec):
        def decoder(self, type: Any) -> Callable[[bytes], Any]:
            def read(_: bytes) -> Any:
                raise RuntimeError("out of order")

            return read

    app = Aarq(broker, codec=Broken())

    @app.task(name="work", retries=1, retry_delay=600)
    async def work(_: object) -> None: ...

    await broker.enqueue([NewJob(id="j", task="work", queue="default", payload=b"{}")])
    await drain(app)
    record = await record_of(broker, "j")
    assert record.state is JobState.RETRYING
    assert record.failure is not None
    assert record.failure.message == "out of order"


@pytest.mark.parametrize("name", ["gone", "a\r\nFAKE: log line\x1b[31m", "x" * 10_000])
async def test_an_unknown_task_is_handed_on(
    app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Another worker may know it, during a deploy: the job is tried again later."""
    await broker.enqueue([NewJob(id="j", task=name, queue="default", payload=b"{}")])
    assert await next_job_runs(app)
    record = await record_of(broker, "j")
    assert record.state is JobState.RETRYING
    assert record.failure is not None
    assert record.failure.type == "UnknownTask"
    assert all("\n" not in message and len(message) < 2000 for message in caplog.messages)


async def test_a_task_that_stays_unknown_is_dead(clock: Any) -> None:
    """After three more tries, spread over more than a minute."""
    broker = FlakyBroker(clock=clock)
    await broker.enqueue([NewJob(id="j", task="gone", queue="default", payload=b"{}")])
    async with working(Aarq(broker), clock=clock):
        await clock.advance(69)
        assert (await record_of(broker, "j")).state is JobState.RETRYING
        await clock.advance(1)
        record = await record_of(broker, "j")
    assert (record.state, record.reason, record.attempt) == (JobState.DEAD, "unknown_task", 4)
    assert record.failure is not None
    assert record.failure.message == "this worker has no task named gone; is it an older or newer release?"


async def test_annotations_that_cannot_be_resolved_stop_the_worker_at_once(app: Aarq) -> None:
    """Better at the start, with the task's name, than with its first job."""

    async def work(_: object, x: Any) -> None: ...

    work.__annotations__["x"] = "NoSuchType"
    app.task(name="work")(work)
    with pytest.raises(TypeError, match="^task work: an annotation cannot be resolved"):
        await drain(app)


# What is logged


async def test_errors_stay_on_one_line(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing in an error's text can forge a line of the log; ids are there for machines to read."""

    @app.task(name="bad")
    async def bad(_: object) -> None:
        raise ValueError("a\r\n2026-01-01 ERROR aioq.worker: forged\x1b[2J")

    job = await bad.enqueue()
    await drain(app)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == (
        f"job {job.id} of bad failed: ValueError: a\\r\\n2026-01-01 ERROR aioq.worker: forged\\x1b[2J"
    )
    assert (vars(record)["job_id"], vars(record)["task"], vars(record)["attempt"]) == (job.id, "bad", 1)


async def test_a_retry_is_a_warning(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """It says which attempt failed, why, and when the next one comes."""

    @app.task(name="bad", retries=1, retry_delay=600, jitter=0)
    async def bad(_: object) -> None:
        raise ValueError("not yet")

    job = await bad.enqueue()
    await drain(app)
    assert (
        "aioq.worker",
        logging.WARNING,
        f"job {job.id} of bad: attempt 1 failed, next in 600 s: ValueError: not yet",
    ) in caplog.record_tuples


async def test_arguments_are_never_logged(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """Secrets in arguments and results stay out of the log, at any level."""
    caplog.set_level(logging.DEBUG)

    @app.task
    async def login(_: object, password: str) -> str:
        return password

    await login.enqueue("hunter2")
    await drain(app)
    assert any("completed" in message for message in caplog.messages)
    assert "hunter2" not in caplog.text


async def test_a_body_that_does_not_end_when_cancelled_is_disowned(
    app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job is released for others though the worker cannot end before the body does; the log says which job."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.01)
    started, release = anyio.Event(), anyio.Event()

    @app.task(name="deaf")
    async def deaf(_: object) -> None:
        started.set()
        with anyio.CancelScope(shield=True):
            await release.wait()
        raise ValueError("at last")

    async with anyio.create_task_group() as tg:
        worker = Worker(app, grace=0, handle_signals=False)
        tg.start_soon(worker.run)
        job = await deaf.enqueue()
        await started.wait()
        worker.stop()
        await until(lambda: broker.calls["settle"])
        await settle_down()
        assert await job.state() is JobState.PENDING
        release.set()
    assert await job.state() is JobState.PENDING
    message = f"job {job.id} of deaf did not end when it was cancelled; the worker cannot end before it does"
    assert ("aioq.worker", logging.ERROR, message) in caplog.record_tuples
    assert broker.calls["settle"] == 1


async def test_who_need_not_wait_for_such_bodies_hears_of_them(
    app: Aarq, broker: FlakyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the worker would have ended but for a body, its jobs are given back and it is off the list."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.01)
    started, release = anyio.Event(), anyio.Event()

    @app.task(name="deaf")
    async def deaf(_: object) -> None:
        started.set()
        with anyio.CancelScope(shield=True):
            await release.wait()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tg:
            worker = Worker(app, grace=0, handle_signals=False)
            tg.start_soon(worker.run)
            job = await deaf.enqueue()
            await started.wait()
            worker.stop()
            try:
                await worker.wait_outstayed()
                assert await job.state() is JobState.PENDING
                assert await broker.list_workers() == []
            finally:
                release.set()


async def test_unicode_in_results(app: Aarq) -> None:
    """A lone surrogate in a result fails the job in words."""

    @app.task
    async def odd(_: object) -> str:
        return "\ud800"

    job = await odd.enqueue()
    await drain(app)
    with pytest.raises(JobFailed, match="the text is not valid Unicode"):
        await job.result(timeout=5)
