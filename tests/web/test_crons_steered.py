"""Crons in the browser: backfill with a dry run, explanations, and the search."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from aioq.backends import MemoryBroker
from aioq.cron.definition import define, version_of
from aioq.model.cron import CronKey
from aioq.model.statistics import JobOutcome
from aioq.testing import VirtualClock
from aioq_web.backfill import Span
from tests.web.site import Shop
from tests.web.steering import counted, reading

MAIL = "/crons/default/shop.morning_mail"
NOON = datetime(2026, 6, 10, 10, tzinfo=UTC).timestamp()
SPAN = {"from": "2026-03-27T00:00", "to": "2026-03-30T12:00"}


async def test_backfill_shows_ticks_first_and_then_enqueues_them() -> None:
    """The dry run lists the ticks of the zone of the entry, the form enqueues their jobs, and a second one none."""
    shop = Shop()
    async with reading(shop.app) as reader:
        dry = await reader.get(f"{MAIL}/backfill", **SPAN)
        assert "<h2>4 ticks</h2>" in dry
        assert "Sun 2026-03-29 06:00:00+0200" in dry
        assert await counted(shop.app, JobOutcome.ENQUEUED) == 0
        done = await reader.send(f"{MAIL}/backfill", note="mails were lost", **SPAN)
        assert "4 jobs were enqueued." in done.text
        assert await counted(shop.app, JobOutcome.ENQUEUED) == 4
        (change,) = await shop.app.broker.list_changes()  # type: ignore[attr-defined]
        assert (change.what, change.note) == (
            "backfill 4 ticks from 2026-03-27T00:00 to 2026-03-30T12:00", "mails were lost",
        )  # fmt: skip
        assert "fired backfill" in await reader.get(f"{MAIL}/backfill", **SPAN)
        again = await reader.send(f"{MAIL}/backfill", note="again", **SPAN)
        assert "0 jobs were enqueued, 4 ticks have one already." in again.text


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"from": "2026-03-30T12:00", "to": "2026-03-27T00:00"}, "is after the last one"),
        ({"from": "2026-03-27T00:00", "to": "2999-01-01T00:00"}, "is in the future"),
        ({"from": "2000-01-01T00:00", "to": "2026-03-27T00:00"}, "more than 1,000 ticks"),
        ({"from": "yesterday", "to": "today"}, "Write both times"),
        ({"from": "2026-03-27T00:00"}, "Write both times"),
    ],
)  # fmt: skip
async def test_span_that_cannot_be_fired_says_why(fields: Mapping[str, str], error: str) -> None:
    """The page says what is wrong with the times, and a form with them enqueues nothing."""
    shop = Shop()
    async with reading(shop.app) as reader:
        assert error in await reader.get(f"{MAIL}/backfill", **fields)
        refused = await reader.send(f"{MAIL}/backfill", **fields)
        assert refused.status_code == 400
        assert await counted(shop.app, JobOutcome.ENQUEUED) == 0


async def test_backfill_of_function_names_the_command() -> None:
    """A cron that calls a function runs where that function is; the page shows the command for it."""
    shop = Shop()
    async with reading(shop.app) as reader:
        path = "/crons/reports/shop.close_the_books/backfill"
        page = await reader.get(path, **SPAN)
        assert "aioq cron backfill MODULE:APP shop.close_the_books --from 2026-03-27T00:00" in page
        assert (await reader.send(path, **SPAN)).status_code == 400


def test_span_without_times_is_the_latest_day() -> None:
    """A page that is opened first proposes the latest day, in the zone of the entry, and has no ticks yet."""
    span = Span.of(Shop().app.crons["shop.morning_mail"], {}, NOON)
    assert (span.first_text, span.last_text, span.asked) == ("2026-06-09T12:00", "2026-06-10T12:00", False)


async def test_clock_changes_are_explained_with_both_times() -> None:
    """The page of an entry says for each gap and each repeat from when to when clocks go, and what the entry does."""
    clock = VirtualClock(NOON)
    shop = Shop(MemoryBroker(clock=clock))
    async with reading(shop.app) as reader:
        page = await reader.get("/crons/reports/shop.close_the_books")
        assert "from 03:00 to 02:00, so this time comes twice." in page
        assert "from 02:00 to 03:00, so this time does not exist." in page
        assert "Fires at 02:30" in page
        assert "does not exist" in page


async def test_crons_are_filtered_by_name_and_state() -> None:
    """Chips count the states, and choose the entries of one; the text searches names and queues."""
    shop = Shop()
    async with reading(shop.app) as reader:
        broker: Any = shop.app.broker
        definitions = [define(entry) for entry in shop.app.crons]
        await broker.register_crons(shop.app.name, version_of(definitions), definitions, ttl=30)
        await broker.pause_cron(CronKey("default", "shop.morning_mail"), note="", by="ops")
        paused = await reader.get("/crons", state="paused")
        assert "1 entry" in paused
        assert "shop.open_new_york</a>" not in paused
        assert "paused <b>1</b>" in await reader.get("/crons")
        assert "1 entry" in await reader.get("/crons", q="REPORTS")
        assert "No cron matches." in await reader.get("/crons", q="reports", state="paused")
