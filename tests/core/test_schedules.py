"""`app.schedules` puts, shows, pauses and removes schedules of the broker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aioq import Aarq, MissingFeature, ScheduleConflict, Task, UnknownSchedule
from aioq.cron.definition import define
from aioq.errors import TaskDefinitionError
from aioq.model.cron import CronKey
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.plain_scheduler import PlainScheduler


@pytest.fixture
def broker(clock: VirtualClock) -> FlakyBroker:
    """A broker on virtual time."""
    return FlakyBroker(clock=clock)


@pytest.fixture
def report(app: Aarq) -> Task[..., Any]:
    """A task to be put on a schedule."""

    @app.task(name="report")
    async def report(ctx: dict[str, Any], customer: int) -> None:
        """Do nothing."""

    return report


async def test_put_stores_what_get_shows(app: Aarq, report: Task[..., Any]) -> None:
    """A schedule is shown with its task, its expression, its policies and its next moment in its zone."""
    assert await app.schedules.put("c-7", report, "every 60", args=(7,), tz="UTC", misfire="all", grace=5) is True
    info = await app.schedules.get("c-7")
    assert info is not None
    assert (info.name, info.task, info.queue, info.expression, info.tz) == (
        "c-7",
        "report",
        "default",
        "every 60",
        "UTC",
    )
    assert dict(info.options) == {"misfire": "all", "grace": "5"}
    assert info.next_at == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert (info.pause, info.last, info.enabled) == (None, None, True)


async def test_put_again_returns_whether_it_changed(app: Aarq, report: Task[..., Any]) -> None:
    """An equal schedule changes nothing; other arguments do."""
    puts = [await app.schedules.put("c-7", report, "every 60", args=(customer,)) for customer in (7, 7, 8)]
    assert puts == [True, False, True]


async def test_put_disabled_is_never_due(app: Aarq, report: Task[..., Any]) -> None:
    """A schedule with `enabled=False` is stored and has no next moment."""
    await app.schedules.put("c-7", report, "every 60", args=(7,), enabled=False)
    info = await app.schedules.get("c-7")
    assert info is not None
    assert (info.next_at, info.enabled) == (None, False)


async def test_put_name_of_the_code_is_refused(app: Aarq, report: Task[..., Any]) -> None:
    """A name that the code declares, in whichever queue, is refused with the place of its declaration."""
    app.schedule(report, "every 60", args=(7,), name="c-7")
    with pytest.raises(
        ScheduleConflict, match=r"^schedule c-7 cannot be stored in queue default: the code declares it at"
    ):
        await app.schedules.put("c-7", report, "every 60", args=(7,))


async def test_put_name_that_another_release_declares_is_refused(
    app: Aarq, broker: FlakyBroker, report: Task[..., Any]
) -> None:
    """A name that a registered version of an app declares is refused, although this process does not know it."""
    other = Aarq(broker, name="other", scheduler=PlainScheduler())
    task = other.task(name="report")(report.function)
    other.schedule(task, "every 60", args=(7,), name="c-7")
    await broker.register_crons("other", "1", [define(entry) for entry in other.crons], ttl=60)
    with pytest.raises(ScheduleConflict, match="the code of an app declares an entry of this name"):
        await app.schedules.put("c-7", report, "every 60", args=(7,))


async def test_put_name_of_another_app_is_refused(app: Aarq, broker: FlakyBroker, report: Task[..., Any]) -> None:
    """Two apps on one queue do not replace, show or remove each other's schedules."""
    other = Aarq(broker, name="other", scheduler=PlainScheduler())
    task = other.task(name="report")(report.function)
    await other.schedules.put("c-7", task, "every 60", args=(7,))
    with pytest.raises(ScheduleConflict, match="another app has stored a schedule of this name"):
        await app.schedules.put("c-7", report, "every 60", args=(7,))
    assert await app.schedules.get("c-7") is None
    assert await app.schedules.remove("c-7") is False


async def test_put_task_of_another_queue_moves_it(app: Aarq, broker: FlakyBroker, report: Task[..., Any]) -> None:
    """A schedule whose task is now in another queue is in that queue only."""
    mail = app.task(name="mail", queue="mail")(report.function)
    await app.schedules.put("c-7", report, "every 60", args=(7,))
    await app.schedules.put("c-7", mail, "every 60", args=(7,))
    assert await broker.get_schedule(CronKey("default", "c-7")) is None
    info = await app.schedules.get("c-7")
    assert info is not None
    assert (info.queue, info.task) == ("mail", "mail")


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"schedule": "nonsense"}, ValueError, "nonsense"),
        ({"tz": "Mars/Base"}, ValueError, "Mars/Base"),
        ({"args": ("x", "y")}, TypeError, r'^app.schedules.put\(.c-7., report, "every 60"\): '),
        ({"grace": 0}, ValueError, "grace"),
        ({"run_on_start": True}, ValueError, "run_on_start is for entries of the code"),
        ({"timeout": 5}, TypeError, "timeout; set it on the task"),
        ({"name": "a b"}, ValueError, "name"),
        ({"task": print}, TaskDefinitionError, "not a task"),
    ],
)
async def test_put_wrong_argument_names_it(
    app: Aarq, report: Task[..., Any], changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    """A wrong argument raises where it is passed, and nothing is stored."""
    arguments: dict[str, Any] = {"name": "c-7", "task": report, "schedule": "every 60", "args": (7,), **changes}
    with pytest.raises(error, match=text):
        await app.schedules.put(**arguments)
    assert await app.schedules.list() == []


async def test_put_schedule_of_the_application_is_refused(app: Aarq, report: Task[..., Any]) -> None:
    """An object that cannot be written as text is refused: other processes could not read it."""

    class Never:
        def next_after(self, instant: datetime) -> None:
            return None

    with pytest.raises(ValueError, match="a stored schedule is text that every worker can parse"):
        await app.schedules.put("c-7", report, Never(), args=(7,))


async def test_list_pages_through_queues(app: Aarq, report: Task[..., Any]) -> None:
    """Pages continue after the last schedule of the page before."""
    mail = app.task(name="mail", queue="mail")(report.function)
    for number, task in enumerate((report, mail, report, mail)):
        await app.schedules.put(f"c-{number}", task, "every 60", args=(number,))
    first = await app.schedules.list(limit=3)
    rest = await app.schedules.list(limit=3, after=first[-1])
    assert [(info.queue, info.name) for info in (*first, *rest)] == [
        ("default", "c-0"), ("default", "c-2"), ("mail", "c-1"), ("mail", "c-3"),
    ]  # fmt: skip


async def test_remove_returns_whether_it_was_stored(app: Aarq, report: Task[..., Any]) -> None:
    """A second removal finds nothing; a queue may be named."""
    for _ in range(2):
        await app.schedules.put("c-7", report, "every 60", args=(7,))
    assert [await app.schedules.remove("c-7", queue=queue) for queue in ("mail", "default", None)] == [
        False, True, False,
    ]  # fmt: skip


async def test_pause_and_resume_are_shown(app: Aarq, report: Task[..., Any]) -> None:
    """A pause is shown with its note and author until it is resumed."""
    await app.schedules.put("c-7", report, "every 60", args=(7,))
    assert [await app.schedules.pause("c-7", note="flood", by="ada") for _ in range(2)] == [True, False]
    info = await app.schedules.get("c-7")
    assert info is not None
    assert info.pause is not None
    assert (info.pause.note, info.pause.by) == ("flood", "ada")
    assert [await app.schedules.resume("c-7") for _ in range(2)] == [True, False]


@pytest.mark.parametrize("method", ["pause", "resume"])
async def test_pause_unknown_name_raises(app: Aarq, report: Task[..., Any], method: str) -> None:
    """A name that is not stored is an error, and not a pause of nothing."""
    app.name = "shop"
    with pytest.raises(UnknownSchedule, match="^no schedule c-8 is stored for app shop; put it first"):
        await getattr(app.schedules, method)("c-8")


async def test_schedules_broker_without_them_is_named() -> None:
    """A broker that stores no schedules is named in the error."""
    with pytest.raises(MissingFeature, match="^app.schedules needs a broker that implements aioq.protocols.Schedules"):
        await Aarq(BareBroker(), scheduler=PlainScheduler()).schedules.list()
