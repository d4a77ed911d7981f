"""`app.schedule` checks its arguments and builds an entry with a job."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioq import Aarq, DuplicateName, MissingFeature, PayloadTooLarge, SerializationError, Task, TaskDefinitionError
from aioq.cron import CronEntry, CronOptions
from aioq.model.job import NewJob
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.plain_scheduler import EverySeconds, PlainScheduler

HERE = "tests.core.cron.test_define_schedule"


async def send(_: object, to: str, when: datetime | None = None) -> None:
    """Send an e-mail."""


async def tidy(_: object) -> None:
    """Tidy up."""


@pytest.fixture
def task(app: Aarq) -> Task[..., None]:
    """A task with options of its own."""
    return app.task(name="send", queue="mail", priority=7, max_crashes=5, retries=3)(send)


def line() -> int:
    """Return the line that calls this."""
    frame = inspect.currentframe()
    assert frame
    assert frame.f_back
    return frame.f_back.f_lineno


def test_schedule_entry_has_job(app: Aarq, task: Task[..., None]) -> None:
    """What is enqueued at each tick is encoded already; queue and options are the task's."""
    name, here = app.schedule(task, "every 5", args=("a@b.c",), tz="Europe/Berlin", jitter=2), line()
    assert app.crons[name] == CronEntry(
        name="send",
        function=send,
        schedule=EverySeconds(5),
        queue="mail",
        unique=True,
        job=NewJob(
            id="cron:send", task="send", queue="mail", payload=task.call("a@b.c").job.payload, priority=7, max_crashes=5
        ),
        options=CronOptions(jitter=2),
        expression="every 5",
        tz="Europe/Berlin",
        where=f"{__file__}:{here}",
    )


def test_schedule_accepts_kwargs(app: Aarq, task: Task[..., None]) -> None:
    """They are encoded like those of any call."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    name = app.schedule(task, "every 5", args=("a@b.c",), kwargs={"when": when})
    job = app.crons[name].job
    assert job
    assert job.payload == task.call("a@b.c", when=when).job.payload


def test_schedule_numbers_entries_of_one_task(app: Aarq, task: Task[..., None]) -> None:
    """The further ones are numbered, and each may have a name."""
    names = [app.schedule(task, "every 5", args=(to,)) for to in "ab"]
    names.append(app.schedule(task, "every 5", args=("c",), name="weekly"))
    assert names == ["send", "send:2", "weekly"] == [entry.name for entry in app.crons]


def test_schedule_queue_belongs_to_app(app: Aarq) -> None:
    """A worker without further notice serves it."""
    app.schedule(app.task(queue="mail")(tidy), "every 5")
    assert app.queues == ("mail",)


def test_schedule_has_ticks_within_bounds(app: Aarq) -> None:
    """As one of `app.cron` does."""
    end = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = app.crons[app.schedule(app.task(tidy), "every 5", end=end)].schedule
    assert schedule.next_after(end - timedelta(seconds=1)) == end
    assert schedule.next_after(end) is None


def test_schedule_rejects_used_name_with_both_places(app: Aarq) -> None:
    """Both stand in the error as file and line of the call."""
    task = app.task(tidy)
    first = line() + 1
    app.schedule(task, "every 5", name="nightly")
    with pytest.raises(DuplicateName) as caught:
        app.schedule(task, "every 7", name="nightly")
    assert str(caught.value) == (
        f"cron entry nightly is defined twice, at {__file__}:{first} and at {__file__}:{first + 2}; "
        "give one of them another name="
    )


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({"args": (5,)}, SerializationError, "send: argument to: "),
        ({"args": ("x" * 2_000,)}, PayloadTooLarge, "a call of send takes 2,0"),
        ({}, TypeError, "send(to: str, "),
        ({"args": "a@b.c"}, TypeError, "args must be a tuple such as (\"a@b.c\",), got 'a@b.c'"),
        ({"args": ("a",), "kwargs": 5}, TypeError, "kwargs must be a mapping of names to values, got 5"),
        ({"args": ("a",), "name": "a b"}, ValueError, "name 'a b' is not of the form"),
        ({"args": ("a",), "name": ""}, ValueError, "name '' is not of the form"),
        (
            {"args": ("a",), "name": "n" * 181},
            ValueError,
            "name of a schedule must have at most 180 characters, got 181",
        ),
        ({"args": ("a",), "misfire": "twice"}, ValueError, "misfire must be one of once, skip, all, got 'twice'"),
        (
            {"args": ("a",), "timeout": 5},
            TypeError,
            "there is no option timeout; set it on the task: @app.task(...)",
        ),
        (
            {"args": ("a",), "queue": "x"},
            TypeError,
            "there is no option queue; set it on the task: @app.task(...)",
        ),
    ],
)
def test_schedule_error_names_entry(scheduler: PlainScheduler, options: Any, kind: type, why: str) -> None:
    """At the import of the module, and in the type that the error has elsewhere."""
    app = Aarq(FlakyBroker(), scheduler=scheduler, max_payload=1_000)
    task: Any = app.task(name="send")(send)
    with pytest.raises(kind) as caught:
        app.schedule(task, "every 5", **options)
    assert str(caught.value).startswith(f'app.schedule(send, "every 5"): {why}')
    assert len(app.crons) == 0


def test_schedule_invalid_expression_names_task(app: Aarq) -> None:
    """The error is of the parser's own type."""
    task = app.task(name="tidy")(tidy)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared
        app.schedule(task, "sometimes")
    assert str(caught.value) == 'app.schedule(tidy, "sometimes"): \'sometimes\' is not of the form "every N"'


def test_schedule_takes_zone_of_schedule_object(app: Aarq) -> None:
    """A zone beside it is refused; the error has the object as its text."""
    task = app.task(name="tidy")(tidy)
    with pytest.raises(
        ValueError, match=r"^app.schedule\(tidy, EverySeconds\(step=5\)\): tz is the zone of a cron expression"
    ):
        app.schedule(task, EverySeconds(5), tz="Europe/Berlin")


def test_schedule_rejects_function(app: Aarq) -> None:
    """A function makes no jobs; the error says what to do."""
    function: Any = tidy
    with pytest.raises(TaskDefinitionError) as caught:
        app.schedule(function, "every 5")
    assert str(caught.value) == (
        f'app.schedule({HERE}.tidy, "every 5"): this is not a task; make it one with @app.task, or call it with @app.cron'
    )


def test_schedule_rejects_task_name(app: Aarq) -> None:
    """Not even that of one."""
    app.task(name="tidy")(tidy)
    name: Any = "tidy"
    with pytest.raises(
        TaskDefinitionError, match=r'^app.schedule\("tidy", "every 5"\): this is not a task; make it one'
    ):
        app.schedule(name, "every 5")


def test_schedule_rejects_task_of_other_app(app: Aarq) -> None:
    """Even if this one has a task of that name: its jobs are the other's."""
    app.task(name="tidy")(tidy)
    stranger = Aarq(FlakyBroker()).task(name="tidy")(tidy)
    with pytest.raises(TaskDefinitionError) as caught:
        app.schedule(stranger, "every 5")
    assert str(caught.value) == (
        'app.schedule(tidy, "every 5"): the task belongs to another app; schedule it with that app'
    )


def test_schedule_needs_ledger() -> None:
    """On a broker that keeps none the error comes at once, and says what is missing."""
    app = Aarq(BareBroker(), scheduler=PlainScheduler())
    with pytest.raises(MissingFeature, match="^app.schedule needs a broker that implements aioq.protocols.TickLedger"):
        app.schedule(app.task(tidy), "every 5")
