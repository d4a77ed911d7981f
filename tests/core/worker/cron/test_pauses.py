"""A pause keeps an entry from firing, on every worker."""

from __future__ import annotations

from typing import Any

import pytest

from aioq import Aarq
from aioq.clock import SteadyClock
from aioq.model.cron import CronKey
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes

KINDS = pytest.mark.parametrize("unique", [False, True], ids=["each", "fleet"])
ENTRY = CronKey("default", "entry")


@KINDS
async def test_paused_entry_does_not_fire(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: FlakyBroker, unique: bool
) -> None:
    """Each of its ticks is recorded as skipped, and the first tick after the end of the pause fires."""
    app.cron("every 30", name="entry", unique=unique)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(31)
        await broker.pause_cron(ENTRY, note="repairs", by="ann")
        await clock.advance(60)
        await broker.resume_cron(ENTRY)
        await clock.advance(30)
    assert notes.ticks == [30, 120]
    paused: list[Any] = [(60, "skipped", "paused", 1), (90, "skipped", "paused", 1)]
    assert await ledger.told() == [(30, "ok", "", 1), *paused, (120, "ok", "", 1)]


async def test_pause_reaches_every_worker_within_seconds(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """It asks every five."""
    app.cron("every 1", name="entry")(notes)
    async with (
        working(app, clock=clock, abort=True, id="w1"),
        working(app, clock=SteadyClock(clock), abort=True, id="w2"),
    ):
        await clock.advance(10.5)
        await broker.pause_cron(ENTRY, note="", by="ann")
        await clock.advance(20)
    assert max(notes.ticks) <= 15


async def test_pause_leaves_other_entries_alone(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """A pause is of one entry."""
    app.cron("every 10", name="other")(notes)
    async with working(app, clock=clock, abort=True):
        await broker.pause_cron(ENTRY, note="", by="ann")
        await clock.advance(21)
    assert notes.ticks == [10, 20]
