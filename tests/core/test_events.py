"""Facts reach the listeners of their event, and a listener harms nothing."""

from __future__ import annotations

from typing import Any

import pytest

from aioq import Aarq, JobEvent, JobFact, TickEvent, WorkerEvent
from aioq.backends import MemoryBroker
from aioq.events import OUTCOMES, Events


def fact(event: JobEvent = JobEvent.FAILED, *, at: float = 100.0) -> JobFact:
    """Return a fact."""
    return JobFact(event=event, job_id="a", queue="q", task="t", at=at)


def raising(_: object) -> None:
    """Raise."""
    raise ValueError("broken listener")


def test_fire_calls_listeners_in_order() -> None:
    """The listeners of an event are called in the order in which they were added, and no others."""
    events, calls = Events(), list[str]()
    events.add(JobEvent.FAILED, lambda _: calls.append("first"))
    events.add(JobEvent, lambda _: calls.append("second"))
    events.add(JobEvent.DEAD, lambda _: calls.append("other"))
    events.fire(fact())
    assert calls == ["first", "second"]


def test_remove_last_listener_leaves_no_event() -> None:
    """After its last listener was removed, an event is not in `listeners` any more."""
    events = Events()
    events.add(JobEvent, raising)
    events.remove(JobEvent, raising)
    events.remove(JobEvent.FAILED, raising)
    assert events.listeners == {}


def test_codes_of_events_are_distinct() -> None:
    """No two events have one code, also if they are of different classes and have one name."""
    codes = [event.value for kind in (JobEvent, TickEvent, WorkerEvent) for event in kind]
    assert len(set(codes)) == len(codes)
    assert OUTCOMES.isdisjoint((JobEvent.ENQUEUED, JobEvent.STARTED, JobEvent.CANCELLED, JobEvent.LOST))


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1)], ids=["error", "exit"])
def test_listener_that_raises_is_logged_and_others_are_called(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """An exception of a listener, also SystemExit, is logged with its traceback; the next listener is called."""
    events, calls = Events(), list[JobFact]()

    def broken(_: object) -> None:
        raise error

    events.add(JobEvent.FAILED, broken)
    events.add(JobEvent.FAILED, calls.append)
    events.fire(fact())
    assert calls == [fact()]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert "job_failed" in record.getMessage()


def test_listener_that_raises_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of one listener are logged at most once in 60 seconds, those of another one besides."""
    events = Events()
    events.add(JobEvent.FAILED, raising)
    for at in (100.0, 130.0, 159.0, 160.0):
        events.fire(fact(at=at))
    assert len(caplog.records) == 2
    events.add(JobEvent.FAILED, [].remove)
    events.fire(fact(at=161.0))
    assert len(caplog.records) == 3


def test_keyboard_interrupt_of_listener_is_raised() -> None:
    """Ctrl-C that hits a listener ends the program."""
    events = Events()

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    events.add(JobEvent.FAILED, interrupted)
    with pytest.raises(KeyboardInterrupt):
        events.fire(fact())


async def coroutine_listener(_: object) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("event", "listener", "text"),
    [
        pytest.param("job_failed", raising, "an event such as JobEvent.FAILED", id="text"),
        pytest.param(int, raising, "an event such as JobEvent.FAILED", id="class"),
        pytest.param(JobEvent.FAILED, None, "a function with one argument", id="none"),
        pytest.param(JobEvent.FAILED, coroutine_listener, "a plain function", id="coroutine function"),
    ],
)
def test_on_wrong_argument_says_what_is_expected(event: Any, listener: Any, text: str) -> None:
    """An event or a listener that cannot be one is a TypeError that says what is expected."""
    with pytest.raises(TypeError, match=text):
        Aarq(MemoryBroker()).on(event, listener)


async def test_enqueue_fires_event_for_new_jobs() -> None:
    """A new job is an event of its client with id, queue and task; a known id is none."""
    app, facts = Aarq(MemoryBroker()), list[JobFact]()
    app.on(JobEvent.ENQUEUED, facts.append)

    @app.task(name="t", queue="mail")
    async def task(_: object, n: int) -> None: ...

    first = await task.enqueue(1)
    named = task.options(job_id="known")
    await named.enqueue(2)
    await named.enqueue(2)
    many = await app.enqueue_many([named.call(2), task.call(3)])
    assert [fact.job_id for fact in facts] == [first.id, "known", many[1].id]
    assert {(fact.event, fact.queue, fact.task, fact.wait) for fact in facts} == {
        (JobEvent.ENQUEUED, "mail", "t", None)
    }


async def test_cancel_fires_event_once_with_its_author() -> None:
    """The client that cancels a job has the event, with the name that it gave; a second cancel is none."""
    app, facts = Aarq(MemoryBroker()), list[JobFact]()
    app.on(JobEvent.CANCELLED, facts.append)

    @app.task(name="t")
    async def task(_: object) -> None: ...

    job = await task.enqueue()
    assert await job.cancel(by="ada")
    assert not await job.cancel(by="bob")
    assert [(fact.job_id, fact.task, fact.by, fact.worker_id) for fact in facts] == [(job.id, "t", "ada", "")]


async def test_off_listener_is_not_called() -> None:
    """A listener that was taken off hears nothing more."""
    app, facts = Aarq(MemoryBroker()), list[JobFact]()
    app.on(JobEvent, facts.append)
    app.off(JobEvent, facts.append)

    @app.task
    async def task(_: object) -> None: ...

    await task.enqueue()
    assert facts == []
