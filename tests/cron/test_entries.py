"""Entries whose expressions have `H`, seconds, or the dialect of another system."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aioq import Aarq, CronContext, JobContext
from aioq.backends import MemoryBroker
from aioq.cron.definition import define
from aioq.cron.schedule import NamedSchedule
from aioq.cron.scheduler import DialectScheduler
from aioq_cron import CronExpression, CronScheduler, Every, Except, InvalidCronExpression, Union
from tests.core.plain_scheduler import PlainScheduler
from tests.times import utc


async def report(_: CronContext) -> None:
    """Report."""


def test_entry_chooses_hash_by_its_name() -> None:
    """Two entries on one function have two names, and so two values; the same in every process."""
    app = Aarq(MemoryBroker())
    app.cron("H * * * *", name="report")(report)
    app.cron("H * * * *", name="cleanup")(report)
    shown = [entry.expression for entry in app.crons]
    assert shown == ["H * * * * (6 * * * *)", "H * * * * (46 * * * *)"]
    assert app.crons["report"].schedule.next_after(utc("2026-01-01")) == utc("2026-01-01 00:06")


def test_schedule_chooses_hash_by_its_name() -> None:
    """A schedule of a task is bound to the name that it gets, with a number if there are several."""
    app = Aarq(MemoryBroker())

    @app.task(name="mails.send")
    async def send(ctx: JobContext) -> None: ...

    names = [app.schedule(send, "H H(1-4) * * *") for _ in range(2)]
    assert names == ["mails.send", "mails.send:2"]
    expected = [CronExpression("H H(1-4) * * *", name=name).canonical for name in names]
    assert [app.crons[name].canonical for name in names] == expected
    assert expected[0] != expected[1]


def test_combined_schedules_choose_hash_by_the_entry() -> None:
    """The parts of a combination get the name of the entry, too."""
    hourly = CronExpression("H * * * *", "Europe/Berlin")
    noon = CronExpression("0 12 * * *", "Europe/Berlin")
    for combined in (hourly | noon, hourly & noon, hourly - noon, Except(noon, {utc("2026-01-01").date()})):
        assert isinstance(combined, NamedSchedule)
        app = Aarq(MemoryBroker())
        app.cron(combined, name="report")(report)
        entry = app.crons["report"]
        assert entry.schedule == combined.named("report")
        assert entry.canonical == combined.named("report").canonical
    assert str(Union(hourly).named("report")) == "H * * * * (6 * * * *)"


def test_fingerprint_of_hash_is_that_of_its_value() -> None:
    """Writing the chosen value in place of the `H` changes nothing, and another name does."""
    prints = []
    for text in ("H 9 * * *", "h 09 * * *", "0 9 * * *"):
        app = Aarq(MemoryBroker())
        app.cron(text, name="tasks.daily")(report)
        prints.append(define(app.crons["tasks.daily"]).fingerprint)
    value = CronExpression("H 9 * * *", name="tasks.daily").canonical
    assert prints == [f"{value} [UTC]", f"{value} [UTC]", "0 9 * * * [UTC]"]


@pytest.mark.parametrize(
    ("text", "options", "shown", "same"),
    [
        ("*/10 * * * * *", {"seconds": "first"}, "*/10 * * * * * (seconds first)", "0,10,20,30,40,50 * * * * *"),
        ("0 0 12 ? * 2", {"dialect": "quartz"}, "0 0 12 ? * 2 (quartz)", "0 12 * * 1"),
        ("cron(0 9 ? * 6L *)", {"dialect": "aws"}, "cron(0 9 ? * 6L *) (aws)", "0 9 * * 5L"),
        ("@midnight", {"dialect": "jenkins"}, "@midnight (jenkins: 6 0 * * *)", "6 0 * * *"),
    ],
)
def test_entry_reads_text_in_dialect(text: str, options: dict[str, Any], shown: str, same: str) -> None:
    """`seconds` and `dialect` are arguments of both decorators; the text of the entry names them."""
    app = Aarq(MemoryBroker())
    app.cron(text, name="report", **options)(report)

    @app.task
    async def send(ctx: JobContext) -> None: ...

    app.schedule(send, text, name="report:2", **options)
    assert app.crons["report"].expression == shown
    assert app.crons["report"].canonical == same
    assert app.crons["report:2"].schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is not None


def test_rate_of_aws_is_an_interval() -> None:
    """`rate` is an `Every`; its unit is singular for 1 only, as AWS says."""
    scheduler = CronScheduler()
    assert isinstance(scheduler, DialectScheduler)
    assert scheduler.parse_dialect("rate(1 hour)", dialect="aws") == scheduler.parse("@every 1h")
    assert isinstance(scheduler.parse_dialect("rate(5 days)", dialect="aws"), Every)
    for wrong in ("rate(1 hours)", "rate(5 minute)", "rate(0 minutes)", "rate(5 weeks)"):
        with pytest.raises(InvalidCronExpression):
            scheduler.parse_dialect(wrong, dialect="aws")
    with pytest.raises(InvalidCronExpression):
        scheduler.parse("rate(5 minutes)")


def test_wrong_dialect_names_the_entry() -> None:
    """Errors of the options are those of the line that defines the entry."""
    app = Aarq(MemoryBroker())
    with pytest.raises(ValueError, match=r'^@app\.cron\("0 0 \* \* \* \*"\) on .*report: dialect is one of quartz,'):
        app.cron("0 0 * * * *", dialect="quarz")(report)
    with pytest.raises(
        ValueError, match=r"seconds and dialect are for the text of an expression; leave them out for Every"
    ):
        app.cron(Every(datetime(2026, 1, 2) - datetime(2026, 1, 1)), seconds="first")


def test_scheduler_without_dialects_refuses_them() -> None:
    """A scheduler of a third party may know one language only."""
    app = Aarq(MemoryBroker(), scheduler=PlainScheduler())
    app.cron("every 5", name="a")(report)
    with pytest.raises(TypeError, match=r"PlainScheduler has no dialects of expressions; leave out seconds="):
        app.cron("every 5", name="b", seconds="first")(report)
