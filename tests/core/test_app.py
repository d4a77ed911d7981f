"""The app: which broker it is on, and how it connects to it."""

from __future__ import annotations

from typing import Any

import pytest

from aioq import Aarq, BrokerConfigError, BrokerUnavailable, DiscoveryError, JobConflict, TooManyJobs
from aioq.backends import MemoryBroker
from aioq.protocols import Broker
from aioq.serialization.json_codec import JsonCodec
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker


def test_a_broker_may_be_an_object() -> None:
    """The object is used as it is."""
    broker = MemoryBroker()
    assert Aarq(broker=broker).broker is broker


def test_a_broker_may_be_a_url() -> None:
    """The scheme of the URL picks the broker."""
    assert isinstance(Aarq(broker="memory://").broker, MemoryBroker)


def test_the_environment_names_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument AIOQ_BROKER_URL counts."""
    monkeypatch.setenv("AIOQ_BROKER_URL", "nowhere://host")
    with pytest.raises(DiscoveryError, match="nowhere://"):
        Aarq()
    assert isinstance(Aarq(broker="memory://").broker, MemoryBroker)


@pytest.mark.parametrize("value", [None, ""])
def test_the_default_is_embedded(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Without argument and environment the broker is in memory: there is nothing to start."""
    monkeypatch.delenv("AIOQ_BROKER_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("AIOQ_BROKER_URL", value)
    assert isinstance(Aarq().broker, MemoryBroker)


@pytest.mark.parametrize("broker", [5, object(), MemoryBroker, b"memory://"], ids=["int", "object", "class", "bytes"])
def test_what_is_no_broker_is_refused(broker: Any) -> None:
    """A thing without the methods of a broker is refused at once, and so is the class of one."""
    with pytest.raises(TypeError, match=r"^broker must be a URL or an object with the methods of"):
        Aarq(broker)


@pytest.mark.parametrize("url", ["memory://host", "memory://user:secret@/3"])
def test_the_memory_broker_takes_no_settings(url: str) -> None:
    """A URL that says more than memory:// is a mistake; the error does not repeat it."""
    with pytest.raises(BrokerConfigError, match="write memory:// only") as caught:
        Aarq(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("value", "kind"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_max_payload_is_a_positive_number(value: Any, kind: type[Exception]) -> None:
    """The limit is checked where it is set, by name."""
    with pytest.raises(kind, match="^max_payload must be "):
        Aarq(MemoryBroker(), max_payload=value)


async def test_enqueueing_connects() -> None:
    """Nobody has to connect by hand, and it is done once."""
    broker = FlakyBroker()
    app = Aarq(broker)
    task = app.task(_work)
    await task.enqueue()
    await task.enqueue()
    assert broker.calls["connect"] == 1


async def test_the_app_is_a_context_manager() -> None:
    """Inside the block the broker is connected, after it closed; it may be connected again."""
    broker = FlakyBroker()
    async with Aarq(broker) as app:
        assert broker.calls["connect"] == 1
    await app.connect()
    assert broker.calls["connect"] == 2


async def test_a_broker_that_is_away_is_tried_again_the_next_time() -> None:
    """A failed connection is the caller's to handle, and leaves the app as it was."""
    broker = FlakyBroker()
    broker.fail("connect", BrokerUnavailable("connection refused"))
    app = Aarq(broker)
    with pytest.raises(BrokerUnavailable, match="connection refused"):
        await app.connect()
    await app.connect()
    assert broker.calls["connect"] == 2


async def test_many_calls_of_several_tasks_take_one_round_trip() -> None:
    """`app.enqueue_many` stores calls of any tasks with one call of the broker."""
    broker = FlakyBroker()
    app = Aarq(broker)
    one, two = app.task(_work), app.task(queue="other", name="two")(_work)
    jobs = await app.enqueue_many([one.call(), two.call(), one.call()])
    assert [(job.task, job.queue) for job in jobs] == [(one.name, "default"), ("two", "other"), (one.name, "default")]
    assert broker.calls["enqueue"] == 1


async def test_a_conflict_stores_nothing() -> None:
    """Of many calls none is stored when one takes an id that another job has."""
    app = Aarq(FlakyBroker())

    @app.task
    async def work(_: object, x: int) -> None: ...

    named = work.options(job_id="mine")
    await named.enqueue(1)
    with pytest.raises(JobConflict, match="job id mine is taken in queue default") as caught:
        await app.enqueue_many([work.options(job_id="fresh").call(1), named.call(2)])
    assert (caught.value.job_id, caught.value.queue) == ("mine", "default")
    assert await work.job("fresh").info() is None


async def test_more_jobs_than_a_broker_is_asked_for_at_once() -> None:
    """They are refused before any is sent; the error says to make several calls."""
    broker = FlakyBroker()
    app = Aarq(broker)
    call = app.task(_work).call()
    with pytest.raises(
        TooManyJobs, match="^100,001 jobs are too many for one call: the limit is 100,000; .*several"
    ) as caught:
        await app.enqueue_many([call] * 100_001)
    assert (caught.value.count, caught.value.limit) == (100_001, 100_000)
    assert broker.calls["enqueue"] == 0


async def test_the_same_call_twice_is_one_job() -> None:
    """A call that is enqueued again, because the answer was lost, makes no second job."""
    broker = FlakyBroker()
    app = Aarq(broker)
    call = app.task(_work).call()
    broker.fail("enqueue", BrokerUnavailable("reset by peer"), answer_lost=True)
    with pytest.raises(BrokerUnavailable):
        await app.enqueue_many([call])
    (job,) = await app.enqueue_many([call])
    assert job.id == call.job.id
    assert [stats.pending for stats in await broker.queue_stats()] == [1]


def test_the_queues_of_an_app() -> None:
    """Every queue that a task or cron entry names is there, sorted; `default` when there is none."""
    app = Aarq(MemoryBroker())
    assert list(app.queues) == ["default"]
    app.task(queue="b", name="b")(_work)
    app.task(queue="a", name="a")(_work)
    assert app.queues == ("a", "b")


def test_the_codec_may_be_replaced() -> None:
    """Arguments and results go through the codec that the app was given."""

    class Shouting(JsonCodec):
        def encode(self, value: object) -> bytes:
            return super().encode(value).upper()

    app = Aarq(MemoryBroker(), codec=Shouting())

    @app.task
    async def work(_: object, word: str) -> None: ...

    # The check that arguments arrive as they were sent finds out at once.
    with pytest.raises(ValueError, match="WORD"):
        work.call("word")


async def test_a_bare_broker_will_do() -> None:
    """Without records and signals jobs can still be enqueued."""
    bare = BareBroker()
    assert isinstance(bare, Broker)
    app = Aarq(bare)
    await app.task(_work).enqueue()
    assert [stats.pending for stats in await bare.store.queue_stats()] == [1]


async def test_the_repr_says_what_is_there(clock: VirtualClock) -> None:
    """Enough to recognise an app by in a debugger."""
    app = Aarq(MemoryBroker(clock=clock))
    app.task(_work)
    assert repr(app) == "<Aarq on MemoryBroker(0 jobs): 1 tasks, 0 cron entries>"


async def _work(_: object) -> None: ...
