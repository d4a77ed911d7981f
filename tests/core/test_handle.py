"""A client's hold on its job: waiting for the result, asking, calling off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from aioq import (
    Aarq,
    BrokerUnavailable,
    Job,
    JobCancelled,
    JobDead,
    JobEnded,
    JobFailed,
    JobNotFound,
    MissingFeature,
    ResultDropped,
    ResultTimeout,
    SerializationError,
)
from aioq.model.job import ClaimRequest, Completed, Dead, Failed, Failure, Lease, Settlement
from aioq.model.states import JobState
from aioq.model.workers import WorkerInfo
from aioq.protocols import JobStore, Signals
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker, PollableBroker
from tests.core.rig import drain, settle_down, working

FAILURE = Failure("ValueError", "no such thing", "Traceback ...")


@pytest.fixture
def clock() -> VirtualClock:
    """Time by hand."""
    return VirtualClock()


@pytest.fixture
def broker(clock: VirtualClock) -> FlakyBroker:
    """A broker whose time stands still."""
    return FlakyBroker(clock=clock)


@pytest.fixture
async def job(broker: FlakyBroker, clock: VirtualClock) -> Job[int]:
    """A job that waits to be claimed, held by a client on the broker's clock."""
    task = Aarq(broker).task(name="tasks.work")(_work)
    stored = await task.options(job_id="j").enqueue()
    return Job(
        stored.id,
        task=task.name,
        queue="default",
        broker=broker,
        decode=task.signature.decode_result,
        clock=clock,
    )


async def _work(_: object) -> int:
    return 1


async def end(broker: FlakyBroker, how: Callable[[Lease], Settlement]) -> None:
    """Claim the job and settle it."""
    claim = await broker.claim(ClaimRequest(worker_id="w", queues=("default",), limit=1, lease=60, request_id="r"))
    await broker.settle([how(claim.leases[0])])


# Results


async def test_result_stored_returns_at_once(job: Job[int], broker: FlakyBroker) -> None:
    """A stored result is returned at once, as often as it is requested."""
    await end(broker, lambda lease: Completed(lease=lease, result=b"42", retain_for=60))
    assert [await job.result(timeout=0), await job.result()] == [42, 42]


async def test_result_waits_for_signal(job: Job[int], broker: FlakyBroker, clock: VirtualClock) -> None:
    """The wait ends when the job ends, without polling."""
    got: list[int] = []

    async def wait() -> None:
        got.append(await job.result())

    async with anyio.create_task_group() as tg:
        tg.start_soon(wait)
        await settle_down()
        looks = broker.calls["get_job"]
        await clock.advance(5)
        assert broker.calls["get_job"] == looks == 1
        await end(broker, lambda lease: Completed(lease=lease, result=b"42", retain_for=60))
    assert got == [42]


async def test_result_lost_signal_is_noticed_within_10_s(clock: VirtualClock) -> None:
    """A client that gets no signal looks the job up after 10 s."""

    class Silent(FlakyBroker):
        async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
            await clock.sleep(timeout)
            return False

    broker = Silent(clock=clock)
    stored = await Aarq(broker).task(_work).enqueue()
    job = Job(stored.id, task="t", queue="default", broker=broker, decode=int, clock=clock)
    async with anyio.create_task_group() as tg:
        tg.start_soon(job.result)
        await settle_down()
        await end(broker, lambda lease: Completed(lease=lease, result=b"42", retain_for=60))
        await clock.advance(9)
        assert broker.calls["get_job"] == 1
        await clock.advance(1)
    assert broker.calls["get_job"] == 2


async def test_result_timeout_raises(job: Job[int], clock: VirtualClock) -> None:
    """ResultTimeout names the job and the timeout, and says that the job was not cancelled."""
    async with anyio.create_task_group() as tg:
        tg.start_soon(clock.advance, 30)
        with pytest.raises(ResultTimeout) as caught:
            await job.result(timeout=25.5)
    assert str(caught.value).startswith("job j did not end within 25.5 s; it has not been cancelled")
    assert (caught.value.job_id, caught.value.timeout) == ("j", 25.5)
    assert isinstance(caught.value, TimeoutError)
    assert await job.state() is JobState.PENDING


async def test_result_timeout_zero_looks_once(job: Job[int]) -> None:
    """`timeout=0` looks the job up and does not wait."""
    with pytest.raises(ResultTimeout, match="within 0 s"):
        await job.result(timeout=0)


async def test_result_failed_job_raises(job: Job[int], broker: FlakyBroker) -> None:
    """JobFailed has the task's exception as text."""
    await end(broker, lambda lease: Failed(lease=lease, failure=FAILURE, retain_for=60))
    with pytest.raises(JobFailed, match="^job j failed: ValueError: no such thing$") as caught:
        await job.result()
    assert caught.value.failure == FAILURE
    assert caught.value.job_id == "j"
    assert isinstance(caught.value, JobEnded)


async def test_result_dead_job_raises(job: Job[int], broker: FlakyBroker, clock: VirtualClock) -> None:
    """JobDead has the reason and its detail."""
    await end(broker, lambda lease: Dead(lease=lease, reason="malformed", failure=FAILURE))
    with pytest.raises(JobDead, match="^job j is dead: malformed: no such thing$") as caught:
        await job.result()
    assert caught.value.reason == "malformed"


async def test_result_crashed_job_raises(job: Job[int], broker: FlakyBroker, clock: VirtualClock) -> None:
    """JobDead of a job without a failure has only the reason."""
    for n in range(3):
        await broker.claim(ClaimRequest(worker_id="w", queues=("default",), limit=1, lease=1, request_id=f"r{n}"))
        await clock.advance(2)
        await broker.reap(["default"])
    with pytest.raises(JobDead, match="^job j is dead: crashed$"):
        await job.result()


async def test_result_cancelled_job_raises(job: Job[int]) -> None:
    """JobCancelled names the job."""
    assert await job.cancel() is True
    assert await job.cancel() is False
    with pytest.raises(JobCancelled, match="^job j was cancelled$"):
        await job.result()


async def test_result_without_record_raises(job: Job[int], broker: FlakyBroker) -> None:
    """JobNotFound lists the possible reasons if there is no record."""
    await end(broker, lambda lease: Completed(lease=lease))
    with pytest.raises(JobNotFound) as caught:
        await job.result()
    assert str(caught.value) == (
        "nothing is known of job j of tasks.work: it ended and left no record (the task has save_result=False, or "
        "result_ttl is over), the broker lost its data, or the job was never enqueued"
    )
    assert not isinstance(caught.value, JobEnded)
    assert await job.info() is None
    assert await job.state() is None


async def test_result_too_large_raises(job: Job[int], broker: FlakyBroker) -> None:
    """ResultDropped says that the job completed and that its result was too large."""
    await end(broker, lambda lease: Completed(lease=lease, retain_for=60))
    with pytest.raises(
        ResultDropped, match="^job j completed, but its result was dropped: it was too large$"
    ) as caught:
        await job.result()
    assert caught.value.reason == "too_large"


async def test_result_of_wrong_type_raises(job: Job[int], broker: FlakyBroker) -> None:
    """A result that does not fit the annotation raises an error with the job's id."""
    await end(broker, lambda lease: Completed(lease=lease, result=b'"a"', retain_for=60))
    with pytest.raises(SerializationError, match=r"^the result of job j of tasks\.work: \S"):
        await job.result()


async def test_result_wait_ends_without_record(job: Job[int], broker: FlakyBroker) -> None:
    """A job that leaves no record ends the wait, too."""
    async with anyio.create_task_group() as tg:

        async def wait() -> None:
            with pytest.raises(JobNotFound):
                await job.result()

        tg.start_soon(wait)
        await settle_down()
        await end(broker, lambda lease: Completed(lease=lease))


async def test_result_outage_raises(job: Job[int], broker: FlakyBroker) -> None:
    """A client does not wait for a broker that is unavailable."""
    broker.go_down()
    with pytest.raises(BrokerUnavailable, match="connection refused"):
        await job.result()


# Brokers that can do less


async def test_result_without_signals_polls(clock: VirtualClock) -> None:
    """Without signals the client looks the job up twice a second."""
    store = FlakyBroker(clock=clock)
    broker = PollableBroker(store)
    assert isinstance(broker, JobStore)
    assert not isinstance(broker, Signals)
    task = Aarq(broker).task(_work)
    stored = await task.enqueue()
    job = Job(stored.id, task="t", queue="default", broker=broker, decode=int, clock=clock)
    async with anyio.create_task_group() as tg:
        tg.start_soon(job.result)
        await clock.advance(2)
        assert store.calls["get_job"] == 5
        await end(store, lambda lease: Completed(lease=lease, result=b"1", retain_for=60))
        await clock.advance(0.5)


@pytest.mark.parametrize("ask", [Job.result, Job.info, Job.state, Job.cancel], ids=lambda ask: ask.__name__)
async def test_handle_without_job_store_raises(ask: Callable[[Job[Any]], Any]) -> None:
    """The error names the missing protocol and the method that needs it."""
    job = await Aarq(BareBroker()).task(_work).enqueue()
    with pytest.raises(MissingFeature) as caught:
        await ask(job)
    assert str(caught.value) == (
        f"Job.{ask.__name__} needs a broker that implements aioq.protocols.JobStore, and BareBroker does not; "
        f"use another broker"
    )
    assert (caught.value.protocol, caught.value.needed_for) == ("JobStore", f"Job.{ask.__name__}")


# Calling off


async def test_cancel_waiting_job(app: Aarq) -> None:
    """A waiting job that is cancelled never runs."""
    ran: list[int] = []

    @app.task
    async def work(_: object) -> None:
        ran.append(1)

    job = await work.enqueue()
    assert await job.cancel() is True
    await drain(app)
    assert (ran, await job.state()) == ([], JobState.CANCELLED)


async def test_cancel_running_job(app: Aarq) -> None:
    """The task is cancelled at its next await, and its slot is free again."""
    started, ended = anyio.Event(), anyio.Event()

    @app.task
    async def work(_: object, forever: bool) -> str:
        if not forever:
            return "next"
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return "never"

    async with working(app, concurrency=1):
        job = await work.enqueue(forever=True)
        await started.wait()
        assert await job.cancel() is True
        await ended.wait()
        with pytest.raises(JobCancelled):
            await job.result(timeout=5)
        assert await (await work.enqueue(forever=False)).result(timeout=5) == "next"


async def test_cancel_ended_job_returns_false(app: Aarq) -> None:
    """Cancelling an ended job returns False, and its result stays."""
    job = await app.task(_work).enqueue()
    await drain(app)
    assert await job.cancel() is False
    assert await job.result(timeout=5) == 1


# What keeps a job from starting


@pytest.mark.parametrize("queues", [["default"], ["other"], []], ids=["served", "other queue", "no worker"])
async def test_result_timeout_names_queue_without_worker(
    app: Aarq, broker: FlakyBroker, job: Job[int], clock: VirtualClock, queues: list[str]
) -> None:
    """ResultTimeout says if no worker consumes the queue, and what to do."""
    for queue in queues:
        worker = WorkerInfo(
            id="w", queues=(queue,), concurrency=1, running=1, hostname="h", pid=1, started_at=0.0
        )  # fmt: skip
        await broker.heartbeat(worker, ttl=60)
    with pytest.raises(ResultTimeout) as caught:
        await job.result(timeout=0)
    assert str(caught.value) == "job j did not end within 0 s; it has not been cancelled" + (
        ""
        if queues == ["default"]
        else "; no worker of this process consumes queue default, and other processes do not share the memory broker; "
        "run a Worker of the app in this process, or set AIOQ_BROKER_URL"
    )


async def test_result_without_timeout_logs_queue_without_worker(
    job: Job[int], broker: FlakyBroker, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that waits without limit hears it once, after 10 seconds."""
    async with anyio.create_task_group() as tg:
        tg.start_soon(job.result)
        await clock.advance(9)
        assert not caplog.messages
        await clock.advance(60)
        await end(broker, lambda lease: Completed(lease=lease, result=b"42", retain_for=60))
    (message,) = caplog.messages
    assert message.startswith("job j of tasks.work has not started: no worker of this process consumes queue default")


async def test_result_in_standing_time_raises(broker: FlakyBroker) -> None:
    """If nobody moves the clock of the broker, the wait ends with an error that says so."""
    job = await Aarq(broker).task(_work).enqueue()
    with pytest.raises(ResultTimeout, match=r"the broker's virtual clock stands still: let another task call its adv"):
        await job.result(timeout=0.01)


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_result_awaited_in_job_without_free_slot_is_logged(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture, concurrency: int
) -> None:
    """After 5 seconds a warning names both jobs, if no slot is free for the second one."""
    app = Aarq(FlakyBroker(clock=clock))
    inner: list[Job[int]] = []
    blocker = app.task(name="inner")(_work)

    @app.task(name="outer")
    async def outer(_: object) -> int:
        job = await blocker.options(defer_by=0 if concurrency == 1 else 20).enqueue()
        inner.append(job)
        waiting: Job[int] = Job(job.id, task="inner", queue="default", broker=app.broker, decode=int, clock=clock)
        return await waiting.result()

    async with working(app, clock=clock, concurrency=concurrency, abort=True):
        job = await outer.enqueue()
        await clock.advance(4)
        assert "waits for the result" not in caplog.text
        await clock.advance(60)
    warnings = [message for message in caplog.messages if "waits for the result" in message]
    expected = f"job {job.id} waits for the result of job {inner[0].id}, which cannot start: "
    assert [message[: len(expected)] for message in warnings] == [expected] * (concurrency == 1)
