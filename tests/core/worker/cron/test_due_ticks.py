"""Jitter delays ticks that are due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aioq import Aarq
from aioq.cron.entry import due_at, jitter_of
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import START, Notes

KINDS = pytest.mark.parametrize("unique", [False, True], ids=["each", "fleet"])


def moments(app: Aarq, count: int) -> list[float]:
    """Return when the first ticks of the entry `entry` fire, every 60 s, in seconds since the start."""
    entry = app.crons["entry"]
    found: list[float] = []
    at: datetime | None = datetime.fromtimestamp(START, UTC)
    while len(found) < count:
        assert at is not None
        at = entry.schedule.next_after(at)
        assert at is not None
        found.append(due_at(entry, at).timestamp() - START)
    return found


@KINDS
async def test_jitter_delays_tick(app: Aarq, clock: VirtualClock, notes: Notes, unique: bool) -> None:
    """By an amount that is fixed for each tick; the context tells the tick itself."""
    app.cron("every 60", name="entry", unique=unique, jitter=30)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(215)
    assert notes.ticks == [60, 120, 180]
    assert notes.began == pytest.approx(moments(app, 3), abs=0.06)
    assert len({jitter_of(app.crons["entry"], ctx["scheduled_at"]) for ctx in notes.contexts}) == 3


async def test_jitter_is_equal_on_all_workers(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """Each fires its own at the same moment."""
    app.cron("every 60", name="entry", jitter=30)(notes)
    async with working(app, clock=clock, abort=True, id="w1"), working(app, clock=clock, abort=True, id="w2"):
        await clock.advance(100)
    assert notes.began[0] == notes.began[1]


async def test_stop_during_jitter_skips_tick(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """The worker stops at once, without waiting for the jitter."""
    app.cron("every 60", name="entry", jitter=60)(notes)
    async with working(app, clock=clock, abort=True) as worker:
        await clock.advance(60)
        worker.stop()
        await clock.advance(0.5)
    assert (notes.ticks, await ledger.told()) == ([], [(60, "skipped", "stopping", 1)])


async def test_stop_during_jitter_leaves_tick_to_fleet(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """Another worker fires the tick when its jitter is over."""
    app.cron("every 60", name="entry", unique=True, jitter=60)(notes)
    async with working(app, clock=clock, abort=True, id="w1") as first, working(app, clock=clock, abort=True, id="w2"):
        await clock.advance(60)
        first.stop()
        await clock.advance(59)
    assert notes.ticks == [60]
    assert {bid.worker_id for bid in broker.bids if bid.ticks[-1] > START} == {"w2"}


async def test_tick_after_suspension_beyond_grace_does_not_fire(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """A worker that is suspended while the jitter runs looks at the clock again before it fires."""
    app.cron("every 600", name="entry", misfire="skip", grace=10, jitter=100)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(600)
        clock.suspend(200)
        await clock.advance(1)
    assert (notes.ticks, await ledger.told()) == ([], [(600, "skipped", "too late", 1)])
