"""Overviews of entries are computed again when a tick has come due, or the ledger says something new."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.cron.definition import define
from aioq.model.cron import CronStatus, Pause, TickRecord, TickStatus
from aioq_web.charts.ticks import strip, strip_paths
from aioq_web.overviews import Overviews

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


async def fire(ctx: dict[str, Any]) -> None:
    """Do nothing: no worker runs here."""


def hourly() -> Aarq:
    """Return an app with an entry that fires at each hour."""
    app = Aarq(MemoryBroker(), name="shop")
    app.cron("0 * * * *", name="hourly", unique=True)(fire)
    return app


def test_overview_is_kept_until_a_tick_comes_due() -> None:
    """Between two ticks the same object is used, and at the tick the next runs move on."""
    overviews = Overviews(hourly())
    (first,) = overviews.of([], NOON + 1)
    assert overviews.of([], NOON + 2)[0] is first
    (later,) = overviews.of([], NOON + 3_600)
    assert (first.next.runs[0].hour, later.next.runs[0].hour) == (13, 14)


def test_overview_follows_the_ledger() -> None:
    """A pause shows at once, and so does that an entry is overdue, without a change in the ledger."""
    app = hourly()
    overviews = Overviews(app)
    definition = define(next(iter(app.crons)))
    status = CronStatus(definition=definition, app="shop", armed_at=NOON, last_tick=NOON)
    assert overviews.of([status], NOON + 1)[0].can_fire
    paused = CronStatus(
        definition=definition, app="shop", armed_at=NOON, last_tick=NOON, pause=Pause(note="", by="ada", at=NOON)
    )
    assert not overviews.of([paused], NOON + 1)[0].can_fire
    assert overviews.of([status], NOON + 2)[0].overdue is None
    assert overviews.of([status], NOON + 7_000)[0].overdue is not None


def test_entry_that_is_not_in_the_code_is_shown() -> None:
    """What another release has registered is in the list, too."""
    app = hourly()
    gone = CronStatus(definition=define(next(iter(app.crons))), app="shop", armed_at=NOON, retired_at=NOON)
    (shown,) = Overviews(Aarq(MemoryBroker(), name="shop")).of([gone], NOON + 1)
    assert not shown.in_code


def test_strips_agree() -> None:
    """The paths of a list have as many marks as the strip of a page, in the same classes."""
    outcomes = [TickStatus.OK, TickStatus.FAILED, TickStatus.SKIPPED, TickStatus.MISSED, TickStatus.FIRED] * 4
    records = [
        TickRecord(
            name="n", queue="q", tick=NOON - 60 * place, status=status,
            fired_at=None if status in (TickStatus.SKIPPED, TickStatus.MISSED) else NOON - 60 * place + 0.01 * place,
        )
        for place, status in enumerate(outcomes)
    ]  # fmt: skip
    marks = strip(records, [""] * len(records), places=30)
    paths = strip_paths(records, places=30)
    assert paths.keys() == {mark.css for mark in marks}
    for css, path in paths.items():
        assert path.count("M") == sum(bool(mark.up) + mark.down for mark in marks if mark.css == css)
