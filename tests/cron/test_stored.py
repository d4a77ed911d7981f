"""Expressions, intervals and dialects survive being stored as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from aioq import Aarq, CronOptions, Task
from aioq.backends import MemoryBroker
from aioq.cron import CronEntry, upcoming
from aioq.cron.define import ScheduleDraft
from aioq.cron.schedule import Schedule
from aioq.cron.stored import SharedEntries, as_text, look_at, read_entry, stored_schedule
from aioq.cron.timing import timing_of
from aioq.errors import BadSignature
from aioq.serialization.signing import Signer
from aioq_cron import CronExpression, Union

BERLIN = "Europe/Berlin"
START = datetime(2026, 3, 28, 20, tzinfo=UTC)


@pytest.fixture
def app() -> Aarq:
    """An app with the scheduler of aioq-cron."""
    return Aarq(MemoryBroker(), name="app")


@pytest.fixture
def report(app: Aarq) -> Task[..., Any]:
    """A task to be put on a schedule."""

    @app.task(name="report")
    async def report(ctx: dict[str, Any]) -> None:
        """Do nothing."""

    return report


@pytest.mark.parametrize(
    ("schedule", "keywords"),
    [
        ("0 9 * * 1-5", {"tz": BERLIN}),
        ("@daily", {"tz": timezone(timedelta(hours=-3, minutes=-30))}),
        ("@every 90m", {}),
        ("H H * * *", {"tz": BERLIN}),
        ("*/10 * * * * *", {"seconds": "first"}),
        ("0 0 9 ? * 2-6 *", {"dialect": "quartz", "tz": BERLIN}),
        (CronExpression("30 9 * * *", BERLIN), {}),
        (CronExpression("*/15 * * * * *", BERLIN, seconds="last"), {}),
    ],
)
async def test_stored_text_fires_at_the_same_moments(
    app: Aarq, report: Task[..., Any], schedule: str | Schedule, keywords: dict[str, Any]
) -> None:
    """What a worker reads back has the fingerprint, the policies and the moments of what was put."""
    options = CronOptions(misfire="all", grace=7.5, catchup=3600, jitter=2, end=datetime(2026, 4, 2, tzinfo=UTC))
    timing = timing_of(app, schedule, options, **keywords)
    entry = ScheduleDraft(timing=timing, name="c-7", args=(), kwargs={}).entry(report, app.tasks, app.crons)
    for signer in (None, Signer(["0123456789abcdef"])):
        stored = stored_schedule(entry, as_text(timing), "app", signer)
        again = read_entry(stored, report, app.scheduler, signer)
        assert (again.fingerprint, again.options, again.job) == (entry.fingerprint, options, entry.job)
        moments, expected = (upcoming(one.schedule, START, 50) for one in (again, entry))
        assert moments == expected
        assert moments


async def test_put_warns_of_nothing(app: Aarq, report: Task[..., Any]) -> None:
    """An expression that an author in the code is warned of is data here; each warning would be kept by its text."""
    assert await app.schedules.put("c-7", report, "*/45 * * * *") is True


def test_union_is_not_text(app: Aarq) -> None:
    """A combination has no text that the scheduler reads."""
    union = Union(CronExpression("0 9 * * *"), CronExpression("30 17 * * *"))
    timing = timing_of(app, union, CronOptions())
    with pytest.raises(ValueError, match="a stored schedule is text that every worker can parse"):
        as_text(timing)


@pytest.mark.parametrize("change", ["text", "job", "app"])
async def test_changed_schedule_is_not_read_with_keys(app: Aarq, report: Task[..., Any], change: str) -> None:
    """With signing keys neither moments, options nor arguments can be changed in the broker."""
    timing = timing_of(app, "0 9 * * *", CronOptions())
    entry = ScheduleDraft(timing=timing, name="c-7", args=(), kwargs={}).entry(report, app.tasks, app.crons)
    signer = Signer(["0123456789abcdef"])
    stored = stored_schedule(entry, as_text(timing), "app", signer)
    changed = {
        "text": replace(stored, text=replace(stored.text, expression="* * * * *")),
        "job": replace(stored, job=replace(stored.job, max_crashes=9)),
        "app": replace(stored, app="other"),
    }[change]
    with pytest.raises(BadSignature):
        read_entry(changed, report, app.scheduler, signer)


@pytest.mark.parametrize(
    ("schedule", "options", "shared"),
    [
        ("0 9 * * *", CronOptions(misfire="all"), True),
        ("@every 5m", CronOptions(end=datetime(2026, 4, 2, tzinfo=UTC)), True),
        ("0 9 * * *", CronOptions(jitter=60), False),
        ("H 9 * * *", CronOptions(), False),
    ],
)
def test_entries_are_shared_unless_the_name_decides(
    app: Aarq, report: Task[..., Any], schedule: str, options: CronOptions, shared: bool
) -> None:
    """Schedules of other names and arguments share an entry if it fires at the same moments as their own."""
    timing = timing_of(app, schedule, options, tz=BERLIN)
    entries = SharedEntries(app.scheduler)
    found: list[CronEntry] = []
    for name in ("one", "two", "one"):
        entry = ScheduleDraft(timing=timing, name=name, args=(), kwargs={}).entry(report, app.tasks, app.crons)
        read = entries.read(stored_schedule(entry, as_text(timing), "app", None), report)
        due = [[look_at(each, tick) for tick in upcoming(each.schedule, START, 9)] for each in (read, entry)]
        assert due[0] == due[1]
        assert read.options == options
        found.append(read)
    assert [found[0] is one for one in found] == [True, shared, shared]
