"""A worker that was suspended for two and a half minutes, under each misfire policy."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from aioq import Aarq
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes

KINDS = pytest.mark.parametrize("unique", [False, True], ids=["each", "fleet"])
ON_TIME = [(30, "ok", "", 1), (60, "ok", "", 1)]


async def suspended(app: Aarq, clock: VirtualClock, notes: Notes, **options: Any) -> None:
    """Run an entry that fires every 30 s, and suspend its worker from second 65 to second 215."""
    app.cron("every 30", name="entry", **options)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(65)
        clock.suspend(150)
        await clock.advance(30)


@KINDS
async def test_misfire_once_fires_newest_tick(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """The others are skipped as coalesced: counted, in one line of the ledger."""
    await suspended(app, clock, notes, unique=unique)
    assert (notes.ticks, [round(at) for at in notes.began]) == ([30, 60, 210, 240], [30, 60, 215, 240])
    skipped = (180, "skipped", "coalesced", 4)
    assert await ledger.told() == [*ON_TIME, skipped, (210, "ok", "", 1), (240, "ok", "", 1)]
    counts = (await ledger.status()).counts
    assert (counts.ok, counts.coalesced, counts.skipped, counts.missed) == (4, 4, 0, 0)


@KINDS
async def test_misfire_skip_fires_tick_in_time(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """The newest, since it is not later than the grace; older ones are too late or coalesced."""
    await suspended(app, clock, notes, unique=unique, misfire="skip", grace=50)
    assert notes.ticks == [30, 60, 210, 240]
    left = [(150, "skipped", "too late", 3), (180, "skipped", "coalesced", 1)]
    assert await ledger.told() == [*ON_TIME, *left, (210, "ok", "", 1), (240, "ok", "", 1)]


@KINDS
async def test_misfire_skip_fires_no_late_tick(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """If the newest tick is later than the grace, none fires, and all are recorded as too late with the next tick."""
    await suspended(app, clock, notes, unique=unique, misfire="skip", grace=4)
    assert notes.ticks == [30, 60, 240]
    assert (210, "skipped", "too late", 5) in await ledger.told()


@KINDS
async def test_misfire_all_fires_ticks_in_order(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """As soon as the worker is back, the oldest first."""
    await suspended(app, clock, notes, unique=unique, misfire="all")
    assert notes.ticks == [30, 60, 90, 120, 150, 180, 210, 240]
    assert [round(at) for at in notes.began[2:7]] == [215] * 5
    assert [record[1] for record in await ledger.told()] == ["ok"] * 8


@KINDS
async def test_catchup_limits_ticks_that_fire(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """What is older is missed."""
    await suspended(app, clock, notes, unique=unique, misfire="all", catchup=70)
    assert notes.ticks == [30, 60, 150, 180, 210, 240]
    assert (120, "missed", "older than catchup", 2) in await ledger.told()


@KINDS
async def test_overlap_applies_to_ticks_that_fire_together(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """With `skip` the oldest runs, and those that come while it does are left out."""
    notes.lasts = 5
    await suspended(app, clock, notes, unique=unique, misfire="all", overlap="skip")
    assert notes.ticks == [30, 60, 90, 240]
    assert [(tick, why) for tick, status, why, _ in await ledger.told() if status == "skipped"] == [
        (tick, "overlap") for tick in (120, 150, 180, 210)
    ]


async def test_suspended_worker_fires_nothing_fired_by_others(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: FlakyBroker
) -> None:
    """The worker that wakes late loses its claim of fired ticks, and records nothing."""
    app.cron("every 30", name="entry", unique=True, misfire="all")(notes)
    late = VirtualClock()
    async with working(app, clock=late, abort=True, id="late"), working(app, clock=clock, abort=True, id="w"):
        await late.advance(1)
        await clock.advance(155)
        late.suspend(154)
        await late.advance(2)
    assert notes.ticks == [30, 60, 90, 120, 150]
    assert [record[:2] for record in await ledger.told()] == [(tick, "ok") for tick in notes.ticks]
    assert "late" in {bid.worker_id for bid in broker.bids}


async def test_many_due_ticks_do_not_block_other_entries(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand ticks are made up for, and the older ones missed."""
    caplog.set_level(logging.ERROR)
    ticks: list[float] = []

    @app.cron("every 1", name="entry", misfire="all")
    async def note(ctx: Any) -> None:
        ticks.append(ctx["scheduled_at"].timestamp())

    async with working(app, clock=clock, abort=True):
        await clock.advance(1)
        clock.suspend(3_600)
        await clock.advance(0.1)
        for _ in range(2_000):
            await clock.settle()
            if len(ticks) > 1_000:
                break
    assert (len(ticks), ticks[1:]) == (1_001, sorted(ticks)[1:])
    assert (ticks[-1] - ticks[1], note.__name__, caplog.messages) == (999, "note", [])
