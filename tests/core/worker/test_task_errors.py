"""Tasks that raise, block, take too long, or cannot be called: the job fails, and the worker goes on."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, JobDead, JobFailed
from aioq.model.job import NewJob
from aioq.model.states import JobState
from aioq.serialization.json_codec import JsonCodec
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, next_job_runs, record_of, working


class Mute(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no comment")


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
async def test_task_any_exception_fails_only_its_job(
    app: Aarq, broker: FlakyBroker, error: BaseException, threaded: bool
) -> None:
    """Even an exception that ends a program ends only the job."""
    # Without the frames of an earlier test: all of them raise the same object.
    error = error.with_traceback(None)

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
    assert caught.value.failure.place == f"{__name__}:{(thread if threaded else body).__qualname__}"


async def test_task_that_cancels_itself_fails(app: Aarq) -> None:
    """A task that cancels itself with the event loop's means fails like any other."""

    @app.task
    async def cancel_itself(_: object) -> None:
        if sys.modules.get("trio") and anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    job = await cancel_itself.enqueue()
    assert await next_job_runs(app)
    with pytest.raises(JobFailed, match="CancelledError"):
        await job.result(timeout=5)


async def test_task_own_scopes_and_groups_work(app: Aarq) -> None:
    """Timeouts and task groups inside a task work as elsewhere."""

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


async def test_timeout_fails_attempt_with_timeout_error(app: Aarq) -> None:
    """After its timeout the attempt fails with a TimeoutError that says how long the timeout was."""
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


async def test_timeout_is_retried_with_full_time(app: Aarq, broker: FlakyBroker) -> None:
    """A timeout is retried like any error, and each attempt has the full time."""

    @app.task(timeout=0.01, retries=1, retry_delay=0)
    async def slow(ctx: dict[str, Any]) -> int:
        if ctx["attempt"] == 1:
            await anyio.sleep_forever()
        return 7

    job = await slow.enqueue()
    await drain(app)
    assert await job.result(timeout=5) == 7


async def test_timeout_of_thread_fails_job_on_time(app: Aarq) -> None:
    """A thread cannot be stopped; its job fails on time."""
    release = threading.Event()

    @app.task(timeout=0.01)
    def slow(_: object) -> None:
        release.wait(60)

    try:
        async with working(app):
            job = await slow.enqueue()
            with pytest.raises(JobFailed, match="TimeoutError"):
                await job.result(timeout=30)
    finally:
        release.set()


async def test_timeout_swallowed_by_task_keeps_result(app: Aarq) -> None:
    """A task that swallows the cancellation and returns has its result."""

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


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"null", b"[]", b"5", b"\xff\xfe", b'{"x":"\xff"}', b"\x80\x05\x95.",
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000, b'{"x":' + b"9" * 10_000 + b"}",
    ],
    ids=["empty", "cut", "null", "list", "number", "bom", "utf8", "pickle", "deep", "open", "huge"],
)  # fmt: skip
async def test_malformed_payload_makes_job_dead(app: Aarq, broker: FlakyBroker, payload: bytes) -> None:
    """A payload that cannot be decoded is kept with the dead jobs as `malformed`, and the worker goes on."""

    @app.task(name="work", retries=5)
    async def work(_: object, x: int) -> int:
        return x

    await broker.enqueue([NewJob(id="j", task="work", queue="default", payload=payload)])
    assert await next_job_runs(app)
    record = await record_of(broker, "j")
    assert (record.state, record.reason, record.payload, record.attempt) == (JobState.DEAD, "malformed", payload, 1)
    with pytest.raises(JobDead, match="^job j is dead: malformed: "):
        await work.job("j").result(timeout=5)


@pytest.mark.parametrize(
    ("payload", "parameter"),
    [(b"{}", "x"), (b'{"x":"a"}', "x"), (b'{"x":1,"y":2}', "y")],
    ids=["missing", "type", "extra"],
)
async def test_mismatched_arguments_are_handed_back_three_times_then_dead(
    clock: Any, payload: bytes, parameter: str
) -> None:
    """A call of another release is left for other workers; in the end it is dead, and the text names the parameter."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task(name="work", retries=5)
    async def work(_: object, x: int) -> int:
        return x

    await broker.enqueue([NewJob(id="j", task="work", queue="default", payload=payload)])
    async with working(app, clock=clock):
        await clock.advance(69)
        record = await record_of(broker, "j")
        assert (record.state, record.attempt, record.hand_backs) == (JobState.SCHEDULED, 0, 3)
        await clock.advance(1)
    record = await record_of(broker, "j")
    assert (record.state, record.reason, record.payload) == (JobState.DEAD, "mismatched_arguments", payload)
    with pytest.raises(JobDead, match=f"^job j is dead: mismatched_arguments: the (job|argument) .*'{parameter}'"):
        await work.job("j").result(timeout=5)


async def test_system_exit_while_decoding_fails_only_its_job(app: Aarq, broker: FlakyBroker) -> None:
    """A SystemExit raised by a `__post_init__` ends neither the worker nor other jobs."""

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


async def test_broken_codec_fails_attempt_with_retry(broker: FlakyBroker) -> None:
    """An error of the codec fails the attempt, which is retried."""

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
async def test_unknown_task_is_handed_back(
    app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """A job of an unknown task is handed back, since another worker may have the task."""
    await broker.enqueue([NewJob(id="j", task=name, queue="default", payload=b"{}")])
    assert await next_job_runs(app)
    record = await record_of(broker, "j")
    assert (record.state, record.attempt, record.hand_backs) == (JobState.SCHEDULED, 0, 1)
    assert record.failure is not None
    assert record.failure.type == "UnknownTask"
    assert all("\n" not in message and len(message) < 2000 for message in caplog.messages)


async def test_unknown_task_is_dead_after_three_hand_backs(clock: Any) -> None:
    """The job is dead after three hand-backs over more than a minute."""
    broker = FlakyBroker(clock=clock)
    await broker.enqueue([NewJob(id="j", task="gone", queue="default", payload=b"{}")])
    async with working(Aarq(broker), clock=clock):
        await clock.advance(69)
        assert (await record_of(broker, "j")).state is JobState.SCHEDULED
        await clock.advance(1)
        record = await record_of(broker, "j")
    assert (record.state, record.reason, record.hand_backs) == (JobState.DEAD, "unknown_task", 3)
    assert record.failure is not None
    assert record.failure.message == "this worker has no task named gone; is it an older or newer release?"


async def test_hand_backs_leave_all_attempts_of_the_task(app: Aarq, clock: Any) -> None:
    """A job that an old release handed back three times gets its first run and all its retries."""
    broker = FlakyBroker(clock=clock)
    app = Aarq(broker)
    attempts: list[int] = []

    @app.task(name="bad", retries=3, retry_delay=0)
    async def bad(ctx: dict[str, Any]) -> None:
        attempts.append(ctx["attempt"])
        raise ValueError

    job = await bad.enqueue()
    async with working(Aarq(broker), clock=clock):
        await clock.advance(69)
    assert (await record_of(broker, job.id)).hand_backs == 3
    await clock.advance(1)
    await drain(app)
    assert (attempts, await job.state()) == ([1, 2, 3, 4], JobState.FAILED)


async def test_failed_attempts_leave_all_hand_backs(app: Aarq, clock: Any) -> None:
    """A job that failed four times is handed back like any other by a release without its task."""
    broker = FlakyBroker(clock=clock)
    app = Aarq(broker)

    @app.task(name="bad", retries=10, retry_delay=100, jitter=0, backoff="constant")
    async def bad(_: object) -> None:
        raise ValueError

    job = await bad.enqueue()
    async with working(app, clock=clock):
        await clock.advance(301)
    assert (await record_of(broker, job.id)).attempt == 4
    async with working(Aarq(broker), clock=clock):
        await clock.advance(100)
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.hand_backs) == (JobState.SCHEDULED, 4, 1)


async def test_failure_log_stays_on_one_line(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """The text of an error cannot forge a log line, and the record has the job's ids as attributes."""

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


async def test_retry_is_logged_as_warning(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """The warning says which attempt failed, why, and when the next one starts."""

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


async def test_log_contains_no_arguments_or_results(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """Arguments and results are not logged at any level."""
    caplog.set_level(logging.DEBUG)

    @app.task
    async def login(_: object, password: str) -> str:
        return password

    await login.enqueue("hunter2")
    await drain(app)
    assert any("completed" in message for message in caplog.messages)
    assert "hunter2" not in caplog.text
