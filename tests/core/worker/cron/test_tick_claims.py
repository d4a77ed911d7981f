"""Entries that are due together are claimed in one call, and alone after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from aioq import Aarq, Worker
from aioq.cron import Tick
from aioq.errors import BrokerFull
from aioq.model.cron import TickClaim, TickReply
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes


@pytest.fixture
def names(app: Aarq, notes: Notes) -> list[str]:
    """Entries that are due every ten seconds."""
    names = [f"n{number}" for number in range(7)]
    for name in names:
        app.cron("every 10", name=name, unique=True)(notes)
    return names


async def test_entries_due_together_share_one_claim_call(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker, names: list[str]
) -> None:
    """However many there are; each tick is fired once."""
    async with working(app, clock=clock, abort=True, id="w1"), working(app, clock=clock, abort=True, id="w2"):
        await clock.advance(5)
        broker.calls.clear()
        await clock.advance(20)
    assert notes.ticks == [10] * len(names) + [20] * len(names)
    assert broker.calls["claim_ticks"] == 4


@pytest.mark.parametrize("answer_lost", [False, True])
async def test_failed_claim_call_is_repeated_for_each_entry(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker, names: list[str], answer_lost: bool
) -> None:
    """Whatever the failure is, and also when only the answer was lost."""
    async with working(app, clock=clock, abort=True):
        await clock.advance(5)
        for error in (OSError("reset"), BrokerFull("no room")):
            broker.fail("claim_ticks", error, answer_lost=answer_lost)
            await clock.advance(10)
    assert notes.ticks == [10] * len(names) + [20] * len(names)


async def test_failed_claim_delays_no_other_entry(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker, names: list[str], ledger: Ledger
) -> None:
    """The others are fired at once, and this one when the ledger can decide on it."""
    async with working(app, clock=clock, abort=True):
        await clock.advance(5)
        broker.fail("claim_tick", *(ValueError("odd") for _ in range(3)))
        await clock.advance(5.1)
        assert len(notes.ticks) >= len(names) - 1
        await clock.advance(4)
    assert notes.ticks == [10] * len(names)


class Eager(PlainScheduler):
    """A scheduler that fires at its start the tick of that moment, also for schedules that raise."""

    async def run(self, entries: Any, fire: Any, *, clock: Any) -> None:
        """Fire it, and go on with those that do not."""
        for entry in entries:
            fire(Tick(entry, datetime.fromtimestamp(clock.time(), UTC)))
        await super().run([entry for entry in entries if entry.name != "broken"], fire, clock=clock)


class Broken:
    """A schedule that raises."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Raise."""
        raise ArithmeticError("no idea when")


async def test_failed_schedule_delays_no_other_entry(
    app: Aarq, clock: VirtualClock, notes: Notes, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The worker logs the failure of one schedule, and the other entries fire."""
    app.cron(Broken(), name="broken", unique=True)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(9)
    app._scheduler = Eager()
    await clock.advance(1)
    async with working(app, clock=clock, abort=True):
        await clock.advance(1)
    assert notes.ticks == [10] * len(names)
    assert "cannot process a tick of cron task broken" in caplog.messages


class Held(FlakyBroker):
    """A broker that holds back the answer to several claims until the test releases it."""

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide, and answer later."""
        replies = await super().claim_ticks(claims)
        self.go = anyio.Event()
        await self.go.wait()
        return replies


async def test_cancelled_worker_records_won_ticks(clock: VirtualClock, notes: Notes) -> None:
    """The worker waits for the answer, and records the won ticks that it will not run."""
    broker, notes.lasts = Held(clock=clock), 5
    app = Aarq(broker, name="app", scheduler=PlainScheduler())
    for name in ("first", "second"):
        app.cron("every 10", name=name, unique=True)(notes)
    await clock.advance(1)
    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, clock=clock, handle_signals=False).run)
        await clock.advance(1)
        broker.go.set()
        await clock.advance(8.1)
        tg.cancel_scope.cancel()
        broker.go.set()
    for name in ("first", "second"):
        assert [told[:3] for told in await Ledger(broker).told(name)] == [
            (10, "failed", "interrupted: the worker stopped")
        ]
