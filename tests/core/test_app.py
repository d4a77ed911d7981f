"""The app: which broker it is on, and how it connects to it."""

from __future__ import annotations

from typing import Any

import pytest

from aioq import (
    Aarq,
    BrokerConfigError,
    BrokerUnavailable,
    DiscoveryError,
    JobConflict,
    TaskDefinitionError,
    TooManyJobs,
)
from aioq.backends import MemoryBroker
from aioq.protocols import Broker
from aioq.serialization.json_codec import JsonCodec
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.rig import settle_down, working


def test_app_broker_object_is_used() -> None:
    """An app uses a broker object as it is."""
    broker = MemoryBroker()
    assert Aarq(broker=broker).broker is broker


def test_app_broker_url_selects_by_scheme() -> None:
    """The scheme of a URL selects the broker."""
    assert isinstance(Aarq(broker="memory://").broker, MemoryBroker)


def test_app_broker_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the app uses AIOQ_BROKER_URL."""
    monkeypatch.setenv("AIOQ_BROKER_URL", "nowhere://host")
    with pytest.raises(DiscoveryError, match="nowhere://"):
        Aarq()
    assert isinstance(Aarq(broker="memory://").broker, MemoryBroker)


@pytest.mark.parametrize("value", [None, ""])
def test_app_broker_default_is_memory(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Without argument and environment the broker is the memory broker."""
    monkeypatch.delenv("AIOQ_BROKER_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("AIOQ_BROKER_URL", value)
    assert isinstance(Aarq().broker, MemoryBroker)


@pytest.mark.parametrize("broker", [5, object(), MemoryBroker, b"memory://"], ids=["int", "object", "class", "bytes"])
def test_app_invalid_broker_is_rejected(broker: Any) -> None:
    """An object without the methods of a broker is rejected at once, and so is a class."""
    with pytest.raises(TypeError, match=r"^broker must be a URL or an object with the methods of"):
        Aarq(broker)


@pytest.mark.parametrize("url", ["memory://host", "memory://user:secret@/3"])
def test_memory_broker_url_with_settings_is_rejected(url: str) -> None:
    """A URL other than memory:// is rejected; the error does not repeat it."""
    with pytest.raises(BrokerConfigError, match="write memory:// only") as caught:
        Aarq(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("value", "kind"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_app_max_payload_out_of_range_is_rejected(value: Any, kind: type[Exception]) -> None:
    """The limit is checked by the constructor; the error names the argument."""
    with pytest.raises(kind, match="^max_payload must be "):
        Aarq(MemoryBroker(), max_payload=value)


async def test_enqueue_connects_once() -> None:
    """Enqueueing connects the broker, once."""
    broker = FlakyBroker()
    app = Aarq(broker)
    task = app.task(_work)
    await task.enqueue()
    await task.enqueue()
    assert broker.calls["connect"] == 1


async def test_app_context_manager_connects_and_closes() -> None:
    """The broker is connected inside the block and closed after it; it may be connected again."""
    broker = FlakyBroker()
    async with Aarq(broker) as app:
        assert broker.calls["connect"] == 1
    await app.connect()
    assert broker.calls["connect"] == 2


async def test_connect_failure_is_retried_by_next_call() -> None:
    """A failed connection raises in the caller, and the next call tries again."""
    broker = FlakyBroker()
    broker.fail("connect", BrokerUnavailable("connection refused"))
    app = Aarq(broker)
    with pytest.raises(BrokerUnavailable, match="connection refused"):
        await app.connect()
    await app.connect()
    assert broker.calls["connect"] == 2


async def test_enqueue_many_of_several_tasks_is_one_call() -> None:
    """`app.enqueue_many` stores calls of any tasks with one call of the broker."""
    broker = FlakyBroker()
    app = Aarq(broker)
    one, two = app.task(_work), app.task(queue="other", name="two")(_work)
    jobs = await app.enqueue_many([one.call(), two.call(), one.call()])
    assert [(job.task, job.queue) for job in jobs] == [(one.name, "default"), ("two", "other"), (one.name, "default")]
    assert broker.calls["enqueue"] == 1


async def test_enqueue_many_conflict_stores_nothing() -> None:
    """If one of many calls has the id of a different job, none is stored."""
    app = Aarq(FlakyBroker())

    @app.task
    async def work(_: object, x: int) -> None: ...

    named = work.options(job_id="mine")
    await named.enqueue(1)
    with pytest.raises(JobConflict, match="job id mine is taken in queue default") as caught:
        await app.enqueue_many([work.options(job_id="fresh").call(1), named.call(2)])
    assert (caught.value.job_id, caught.value.queue) == ("mine", "default")
    assert await work.job("fresh").info() is None


async def test_enqueue_many_above_limit_is_rejected() -> None:
    """More than 100,000 calls are rejected before any is sent; the error suggests several calls."""
    broker = FlakyBroker()
    app = Aarq(broker)
    call = app.task(_work).call()
    with pytest.raises(
        TooManyJobs, match="^100,001 jobs are too many for one call: the limit is 100,000; .*several"
    ) as caught:
        await app.enqueue_many([call] * 100_001)
    assert (caught.value.count, caught.value.limit) == (100_001, 100_000)
    assert broker.calls["enqueue"] == 0


async def test_enqueue_many_same_call_twice_stores_one_job() -> None:
    """A call that is enqueued again stores no second job."""
    broker = FlakyBroker()
    app = Aarq(broker)
    call = app.task(_work).call()
    broker.fail("enqueue", BrokerUnavailable("reset by peer"), answer_lost=True)
    with pytest.raises(BrokerUnavailable):
        await app.enqueue_many([call])
    (job,) = await app.enqueue_many([call])
    assert job.id == call.job.id
    assert [stats.pending for stats in await broker.queue_stats()] == [1]


def test_app_queues_are_sorted() -> None:
    """The queues are those of tasks and cron entries, sorted; `default` if there are none."""
    app = Aarq(MemoryBroker())
    assert list(app.queues) == ["default"]
    app.task(queue="b", name="b")(_work)
    app.task(queue="a", name="a")(_work)
    assert app.queues == ("a", "b")


def test_app_custom_codec_is_used() -> None:
    """Arguments and results go through the codec of the app."""

    class Shouting(JsonCodec):
        def encode(self, value: object) -> bytes:
            return super().encode(value).upper()

    app = Aarq(MemoryBroker(), codec=Shouting())

    @app.task
    async def work(_: object, word: str) -> None: ...

    # The check that arguments arrive as they were sent finds out at once.
    with pytest.raises(ValueError, match="WORD"):
        work.call("word")


async def test_enqueue_with_minimal_broker() -> None:
    """A broker without optional protocols can enqueue jobs."""
    bare = BareBroker()
    assert isinstance(bare, Broker)
    app = Aarq(bare)
    await app.task(_work).enqueue()
    assert [stats.pending for stats in await bare.store.queue_stats()] == [1]


async def test_app_repr_shows_broker_and_counts(clock: VirtualClock) -> None:
    """The repr shows the broker and the numbers of tasks and entries."""
    app = Aarq(MemoryBroker(clock=clock))
    app.task(_work)
    assert repr(app) == "<Aarq on MemoryBroker(0 jobs): 1 tasks, 0 cron entries>"


async def _work(_: object) -> None: ...


async def test_entry_defined_after_start_of_worker_is_rejected(app: Aarq) -> None:
    """A running worker would never fire the entry; before and after its run entries can be defined."""

    async def report(_: object) -> None: ...

    task = app.task(report)
    async with working(app):
        await settle_down()
        with pytest.raises(TaskDefinitionError, match="late comes too late: a worker of the app is running"):
            app.schedule(task, "every 5", name="late")
        with pytest.raises(TaskDefinitionError, match="comes too late"):
            app.cron("every 5")(report)
    assert app.schedule(task, "every 5", name="later") == "later"


@pytest.mark.parametrize("tz", ["CET+1", "Europe/Berlim", "", "../etc"])
def test_app_unknown_zone_is_rejected(tz: str) -> None:
    """A time zone that does not exist is refused where it stands."""
    with pytest.raises(ValueError, match="is not a known time zone; a zone is named like Europe/Berlin"):
        Aarq(MemoryBroker(), tz=tz)


def test_app_method_of_other_library_has_hint(app: Aarq) -> None:
    """`send_task` has a hint."""
    other: Any = app
    with pytest.raises(AttributeError, match=r'Aarq has no attribute send_task; .*app\.tasks\["name"\]\.enqueue'):
        other.send_task("mail")
