"""The log and the warnings of a worker that starts."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from aioq import Aarq
from aioq.clock import SteadyClock
from aioq.cron import ClockChange
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import settle_down, until, working
from tests.core.worker.cron.notes import Notes

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


async def nothing(_: object) -> None:
    """Do nothing."""


class Daily:
    """A schedule with a run each midnight and the given clock changes."""

    tz = "Europe/Berlin"

    def __init__(self, *changes: ClockChange) -> None:
        self.changes = list(changes)

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the next midnight."""
        return instant.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def in_words(self) -> str:
        """Say it."""
        return "at midnight"

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return what the test has put in."""
        return [change for change in self.changes if start <= change.at < end]


def change(at: datetime, *runs: datetime, touches: bool = True) -> ClockChange:
    """Return a gap."""
    wall = at.replace(tzinfo=None)
    return ClockChange(
        at=at,
        kind="gap",
        start=wall,
        end=wall + timedelta(hours=1),
        touches=touches,
        runs=runs,
        effect="fires at 03:00",
    )


async def warnings(app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Start a worker, and return what it warns of."""
    async with working(app, clock=clock, abort=True):
        await settle_down()
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_startup_warns_of_run_in_clock_change(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is one of the next three."""
    app.cron(Daily(change(MIDNIGHT + timedelta(days=2), MIDNIGHT + timedelta(days=2))), name="entry")(nothing)
    line = "a clock change in Europe/Berlin at 2026-01-03 00:00:00 affects cron task entry: fires at 03:00"
    assert await warnings(app, clock, caplog) == [line]


async def test_startup_warns_of_second_run_in_repeated_hour(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The run comes before the clocks are put back."""
    third = MIDNIGHT + timedelta(days=3)
    app.cron(Daily(change(third + timedelta(minutes=30), third)), name="entry")(nothing)
    assert len(await warnings(app, clock, caplog)) == 1


async def test_startup_warns_of_run_in_gap(app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Though nothing fires instead."""
    app.cron(Daily(change(MIDNIGHT + timedelta(days=1, hours=2))), name="entry")(nothing)
    assert len(await warnings(app, clock, caplog)) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        change(MIDNIGHT + timedelta(days=2), touches=False),
        change(MIDNIGHT + timedelta(days=2, hours=2), MIDNIGHT + timedelta(days=4)),
        change(MIDNIGHT + timedelta(days=3, hours=2)),
        change(MIDNIGHT + timedelta(days=9), MIDNIGHT + timedelta(days=9)),
    ],
    ids=["touches nothing", "other runs", "after the runs", "far away"],
)
async def test_startup_ignores_other_clock_changes(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture, harmless: ClockChange
) -> None:
    """Nothing surprising comes of them soon."""
    app.cron(Daily(harmless), name="entry")(nothing)
    assert await warnings(app, clock, caplog) == []


async def test_startup_ignores_schedule_that_raises(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is one without warnings."""

    class Shy(Daily):
        def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
            raise ArithmeticError("who knows")

    app.cron(Shy(), name="entry")(nothing)
    assert await warnings(app, clock, caplog) == []


async def test_startup_warns_of_run_years_away(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have been meant otherwise."""

    class Leap:
        def next_after(self, instant: datetime) -> datetime | None:
            return datetime(2028, 2, 29, tzinfo=UTC) if instant.year < 2028 else None

        def __str__(self) -> str:
            return "0 0 29 2 *"

    app.cron(Leap(), name="entry")(nothing)
    line = "cron task entry does not run for another 789 days; check its expression '0 0 29 2 *'"
    assert await warnings(app, clock, caplog) == [line]


async def test_startup_accepts_start_years_away(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """No need to ask whether it was meant."""
    app.cron("every 5", start=MIDNIGHT + timedelta(days=1_000))(nothing)
    assert await warnings(app, clock, caplog) == []


# Clocks


@pytest.mark.parametrize(
    ("offset", "line"),
    [
        (0.9, None),
        (-0.9, None),
        (90, "the clock of this host is 90.0 s ahead of that of the broker"),
        (-2, "the clock of this host is 2.0 s behind that of the broker"),
    ],
)
async def test_startup_warns_of_clock_difference(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture, offset: float, line: str | None
) -> None:
    """By more than a second."""
    app.cron("every 3600")(nothing)
    async with working(app, clock=SteadyClock(clock, offset=offset), abort=True):
        await settle_down()
    assert [message.partition(":")[0] for message in caplog.messages] == ([line] if line else [])


async def test_startup_allows_for_slow_answer(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """The broker's clock goes on while its answer is on its way."""

    class Slow(FlakyBroker):
        async def time(self) -> float:
            now = await super().time()
            await clock.sleep(30)
            return now

    app = Aarq(Slow(clock=clock), scheduler=PlainScheduler())
    app.cron("every 3600")(nothing)
    async with working(app, clock=clock, abort=True):
        await clock.advance(40)
    assert caplog.messages == []


async def test_startup_compares_clock_of_any_broker(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Also one without a ledger."""
    store: Any = FlakyBroker(clock=clock)
    clock.step(-60)
    app = Aarq(BareBroker(store), scheduler=PlainScheduler())
    app.cron("every 3600")(nothing)
    assert len(await warnings(app, clock, caplog)) == 1


async def test_startup_without_entries_compares_no_clocks(clock: VirtualClock, broker: FlakyBroker, app: Aarq) -> None:
    """It has no use for the answer."""
    async with working(app, clock=clock, abort=True):
        await settle_down()
    assert broker.calls["time"] == 0


async def test_startup_warns_of_equal_app_names(
    clock: VirtualClock, broker: FlakyBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that makes two has to name them, or each retires the entries of the other."""
    module = ModuleType("twins")
    one, other = (Aarq(broker, name="twins", scheduler=PlainScheduler()) for _ in "12")
    vars(module).update(one=one, other=other, third=Aarq(broker, name="third", scheduler=PlainScheduler()))
    monkeypatch.setitem(sys.modules, "twins", module)
    one.cron("every 5", name="entry")(nothing)
    assert await warnings(one, clock, caplog) == []
    line = (
        "two apps have the name twins: each worker that starts retires the cron entries of the other app; "
        "give them different names with Aarq(name=...)"
    )
    assert await warnings(other, clock, caplog) == [line]


def table(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines of the table of entries, without its heading."""
    texts = [one.getMessage() for one in caplog.records if getattr(one, "event", "") == "cron_next_runs"]
    return [line.strip() for text in texts for line in text.splitlines()[1:]]


async def test_startup_logs_next_runs(app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """One record is a table of the entries, each with its next run in its own zone; `extra` has the values."""
    caplog.set_level(logging.INFO)
    app.cron("every 3600", name="hourly", tz="Asia/Tokyo")(nothing)
    app.cron("every 60", name="often")(nothing)
    async with working(app, clock=clock):
        await settle_down()
    (record,) = [one for one in caplog.records if getattr(one, "event", "") == "cron_next_runs"]
    assert record.getMessage().splitlines() == [
        "next runs of 2 crons:",
        "  2026-01-01 10:00:00+09:00  hourly  every 3600",
        "  2026-01-01 00:01:00+00:00  often   every 60",
    ]
    crons = vars(record)["crons"]
    assert [(one["name"], one["expression"]) for one in crons] == [("hourly", "every 3600"), ("often", "every 60")]
    assert [datetime.fromisoformat(one["next_run"]) for one in crons] == [
        datetime(2026, 1, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 1, tzinfo=UTC),
    ]


async def test_startup_accepts_schedules_without_next_run(
    app: Aarq, clock: VirtualClock, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    """A schedule without runs, one near the end of time, and a zone that only the scheduler knows."""
    caplog.set_level(logging.INFO)

    class Never:
        def next_after(self, instant: datetime) -> None:
            return None

    class Late:
        def next_after(self, instant: datetime) -> datetime:
            return datetime.max.replace(tzinfo=UTC)

    app.cron(Never(), name="never")(nothing)
    app.cron(Late(), name="late")(nothing)
    app.cron("every 5", name="mars", tz="Mars/Olympus")(notes)
    async with working(app, clock=clock):
        await clock.advance(5)
    rows = [line.split() for line in table(caplog)]
    assert [row[:2] for row in rows if row[0] == "never"] == [["never", "never"]]
    assert ["2026-01-01", "00:00:05+00:00", "mars"] in [row[:3] for row in rows]
    assert notes.began == [5]


async def test_startup_survives_schedule_that_raises(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The log shows no next runs; the scheduler decides what happens to the entry."""
    caplog.set_level(logging.INFO)

    class Broken:
        def next_after(self, instant: datetime) -> datetime:
            raise ArithmeticError("no idea when")

    app.cron(Broken(), name="broken")(nothing)
    async with working(app, clock=clock):
        await settle_down()
    assert [line.split()[:2] for line in table(caplog)] == [["never", "broken"]]


async def test_startup_logs_at_most_ten_entries(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten lines are enough; the last line counts the others."""
    caplog.set_level(logging.INFO)
    for n in range(13):
        app.cron("every 3600", name=f"n{n}")(nothing)
    async with working(app, clock=clock):
        await until(lambda: bool(table(caplog)))
    rows = table(caplog)
    assert len(rows) == 10 + 1
    assert rows[-1] == "and 3 more"
