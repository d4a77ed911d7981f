"""`app.cron` checks its arguments and builds an entry."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aioq import Aarq, DuplicateName, MissingFeature, TaskDefinitionError
from aioq.callables import where
from aioq.cron import CronEntry, upcoming
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.plain_scheduler import EverySeconds, PlainScheduler

HERE = "tests.core.cron.test_define_cron"


async def report(_: object) -> None:
    """Report."""


async def other(_: object) -> None:
    """Report something else."""


class Sunrise:
    """A schedule of the user's own."""

    def next_after(self, instant: datetime) -> datetime:
        """Return the next morning, more or less."""
        return instant + timedelta(days=1)


class Named(Sunrise):
    """One that can say what it is."""

    def __str__(self) -> str:
        return "at sunrise"


class Callable_:  # noqa: N801
    """An object that can be called."""

    async def __call__(self, _: object) -> None:
        """Run."""


def entry(app: Aarq, name: str = f"{HERE}.report") -> CronEntry:
    """Return an entry that must be there."""
    return app.crons[name]


def test_cron_returns_function(app: Aarq) -> None:
    """It is returned unchanged, and can be called and tested as ever."""
    assert app.cron("every 5")(report) is report


def test_cron_entry_has_all_fields(app: Aarq) -> None:
    """Name, function, schedule, queue, and where it was written."""
    app.cron("every 5", queue="reports", tz="Europe/Berlin", unique=True)(report)
    assert entry(app) == CronEntry(
        name=f"{HERE}.report",
        function=report,
        schedule=EverySeconds(5),
        queue="reports",
        unique=True,
        expression="every 5",
        tz="Europe/Berlin",
        where=where(report),
    )


def test_cron_zone_is_of_entry_then_app_then_utc(scheduler: PlainScheduler) -> None:
    """The scheduler gets the zone, and the entry keeps it."""
    app = Aarq(FlakyBroker(), scheduler=scheduler, tz=ZoneInfo("Asia/Tokyo"))
    app.cron("every 1", name="own", tz="Europe/Berlin")(report)
    app.cron("every 1", name="app")(report)
    app.tz = None
    app.cron("every 1", name="none")(report)
    assert [entry(app, name).tz for name in ("own", "app", "none")] == ["Europe/Berlin", "Asia/Tokyo", "UTC"]
    assert scheduler.zones == ["Europe/Berlin", ZoneInfo("Asia/Tokyo"), None]


def test_cron_accepts_schedule_object(app: Aarq) -> None:
    """Anything with `next_after` will do, and is not parsed."""
    app.cron(Sunrise(), name="plain")(report)
    app.cron(Named(), name="named")(report)
    assert entry(app, "plain").expression == f"{HERE}.Sunrise"
    assert entry(app, "named").expression == "at sunrise"
    assert entry(app, "named").tz == "UTC"


def test_cron_takes_zone_of_schedule_object(app: Aarq) -> None:
    """A zone beside it would be ignored, so it is refused."""
    with pytest.raises(ValueError, match="tz is the zone of a cron expression; leave it out for the schedule .*$"):
        app.cron(Sunrise(), tz="Europe/Berlin")


def test_fingerprint_differs_by_schedule(app: Aarq) -> None:
    """Equal in every process for the same expression and zone, and in none for another."""
    app.cron("every 1", name="a")(report)
    app.cron("every 1", name="b")(other)
    app.cron("every 2", name="c")(report)
    app.cron("every 1", name="d", tz="Asia/Tokyo")(report)
    fingerprints = [entry(app, name).fingerprint for name in "abcd"]
    assert fingerprints[0] == fingerprints[1] == "every 1 [UTC]"
    assert len(set(fingerprints)) == 3


def test_cron_invalid_expression_names_function(app: Aarq) -> None:
    """The error is of the parser's own type, and says which entry it is about."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared
        app.cron("sometimes")(report)
    assert str(caught.value) == (f'@app.cron("sometimes") on {HERE}.report: \'sometimes\' is not of the form "every N"')
    assert len(app.crons) == 0


def test_cron_numbers_entries_of_one_function(app: Aarq) -> None:
    """They stack; the further ones are numbered."""
    app.cron("every 1")(app.cron("every 2")(app.cron("every 3")(report)))
    assert [one.name for one in app.crons] == [f"{HERE}.report", f"{HERE}.report:2", f"{HERE}.report:3"]


def test_cron_rejects_used_name(app: Aarq) -> None:
    """Two functions of one name are an error that names both places."""
    app.cron("every 1", name="nightly")(report)
    with pytest.raises(DuplicateName) as caught:
        app.cron("every 1", name="nightly")(other)
    assert str(caught.value) == (
        f"cron entry nightly is defined twice, at {where(report)} and at {where(other)}; give one of them another name="
    )


def test_cron_rejects_other_function_of_same_name(app: Aarq) -> None:
    """A copy of a function, from a module that was imported twice, is found out."""

    def copy(_: object) -> None: ...

    copy.__module__, copy.__qualname__ = report.__module__, report.__qualname__
    app.cron("every 1")(report)
    with pytest.raises(DuplicateName, match=r"cron entry .*report is defined twice"):
        app.cron("every 1")(copy)


async def generator(_: object) -> AsyncGenerator[int, None]:
    """No cron task: it yields."""
    yield 1


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (5, "a cron entry is a function, got 5"),
        (lambda: None, r"must be callable with the context alone: \S"),
        (lambda ctx, x: None, r"must be callable with the context alone: .*'x'"),
        (generator, "is a generator: calling it would not run it"),
    ],
)
def test_cron_rejects_what_cannot_be_called(app: Aarq, function: Any, why: str) -> None:
    """A cron task takes the context and nothing else."""
    with pytest.raises(TaskDefinitionError, match=why):
        app.cron("every 1")(function)


def test_cron_rejects_task(app: Aarq) -> None:
    """A task makes jobs; the error says how to have it on a schedule."""
    task = app.task(name="mail")(report)
    with pytest.raises(
        TaskDefinitionError, match="^mail is a task, and app.cron calls plain functions; use app.schedule"
    ):
        app.cron("every 1")(task)


def test_cron_accepts_objects_and_partials(app: Aarq) -> None:
    """Anything that can be called with the context will do, with a name if it has none."""
    app.cron("every 1", name="object")(Callable_())
    app.cron("every 1", name="partial")(functools.partial(other))
    assert [one.name for one in app.crons] == ["object", "partial"]
    with pytest.raises(TaskDefinitionError, match=r'a partial of .*other has no name .* app\.cron\("\.\.\.", name='):
        app.cron("every 1")(functools.partial(other))


def test_cron_method_is_rejected_where_it_stands(app: Aarq) -> None:
    """A method has no object in a worker, and its first parameter is not the context."""

    def decorated(self: Any) -> None: ...

    decorated.__qualname__ = "Mailer.decorated"
    with pytest.raises(TaskDefinitionError, match=r"is a method, .* app\.cron\(\.\.\.\)\(Mailer\(\)\.decorated\)$"):
        app.cron("every 1")(decorated)


def test_cron_without_context_is_rejected_where_it_stands(app: Aarq) -> None:
    """A first parameter that is annotated as something else is no context."""

    async def ping(url: str) -> None: ...

    with pytest.raises(TaskDefinitionError, match=r"write async def ping\(ctx: CronContext, url: str\)$"):
        app.cron("every 1")(ping)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"queue": "a b"}, "queue 'a b' is not"),
        ({"queue": ""}, "queue ''"),
        ({"name": "a b"}, "name 'a b' is not"),
        ({"name": ""}, "name ''"),
    ],
)
def test_cron_rejects_invalid_names(app: Aarq, options: dict[str, Any], text: str) -> None:
    """Names and queues are checked like those of tasks."""
    with pytest.raises(ValueError, match=rf'^@app.cron\("every 1"\): {text}'):
        app.cron("every 1", **options)(report)


def test_cron_unique_needs_ledger() -> None:
    """On a broker that keeps none the error comes at once, and says what is missing."""
    app = Aarq(BareBroker(), scheduler=PlainScheduler())
    app.cron("every 1")(report)
    with pytest.raises(MissingFeature) as caught:
        app.cron("every 1", unique=True)
    assert str(caught.value) == (
        "unique=True needs a broker that implements aioq.protocols.TickLedger, and BareBroker does not; "
        "use another broker"
    )


def test_cron_keeps_args_and_kwargs(app: Aarq) -> None:
    """One function, on several schedules, each with arguments of its own."""

    async def clean(_: object, table: str, *, days: int = 7) -> None: ...

    app.cron("every 1", name="users", args=("users",))(clean)
    app.cron("every 1", name="events", kwargs={"table": "events", "days": 1})(clean)
    assert (entry(app, "users").args, entry(app, "users").kwargs) == (("users",), {})
    assert (entry(app, "events").args, entry(app, "events").kwargs) == ((), {"table": "events", "days": 1})


def test_cron_copies_kwargs(app: Aarq) -> None:
    """The entry holds what it was given."""

    async def clean(_: object, days: int) -> None: ...

    given = {"days": 7}
    app.cron("every 1", name="clean", kwargs=given)(clean)
    given["days"] = 0
    assert entry(app, "clean").kwargs == {"days": 7}


@pytest.mark.parametrize(
    ("options", "named"),
    [({"args": (1, 2)}, ""), ({"kwargs": {"x": 1, "days": 7}}, "'days'"), ({"args": (1,), "kwargs": {"x": 1}}, "'x'")],
)
def test_cron_rejects_arguments_that_do_not_fit(app: Aarq, options: dict[str, Any], named: str) -> None:
    """Where the decorator stands, and not at three in the morning; what is wrong comes last, in Python's words."""

    def function(_: object, x: int) -> None: ...

    name = f"{HERE}.{function.__qualname__.replace('<locals>.', '')}"
    with pytest.raises(TaskDefinitionError) as caught:
        app.cron("every 1", **options)(function)
    start = f"{name} must be callable with the context, args and kwargs: "
    assert str(caught.value).startswith(start)
    reason = str(caught.value).removeprefix(start)
    assert reason
    assert named in reason


def test_cron_keeps_on_error(app: Aarq) -> None:
    """It takes the context and the exception."""

    def alarm(_: object, error: BaseException) -> None: ...

    app.cron("every 1", on_error=alarm)(report)
    assert entry(app).on_error is alarm


def test_upcoming_yields_next_ticks() -> None:
    """One after the other, for as long as there are any."""

    class Twice:
        def next_after(self, instant: datetime) -> datetime | None:
            return instant + timedelta(days=1) if instant.day < 3 else None

    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert [moment.day for moment in upcoming(Twice(), start, 3)] == [2, 3]
