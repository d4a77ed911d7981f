"""The recorder writes batches, and loses no record in an outage."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from aioq import Aarq, BrokerUnavailable
from aioq.model.cron import TickRecord
from aioq.testing import VirtualClock
from aioq.worker.cron import recorder
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import START, Notes


class Noted(FlakyBroker):
    """A broker that keeps the batches of records."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.written: list[list[TickRecord]] = []

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Take a note."""
        await super().record_ticks(records)
        self.written.append(list(records))


@pytest.fixture
def broker(clock: VirtualClock) -> Noted:
    """A broker that shows what is recorded."""
    return Noted(clock)


async def test_recorder_writes_short_run_once(app: Aarq, clock: VirtualClock, notes: Notes, broker: Noted) -> None:
    """When it has ended before anything was written, its start is not worth a record."""
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True, id="w1"):
        await clock.advance(10.5)
    (record,), *rest = broker.written
    assert rest == []
    assert record == TickRecord(
        name="entry", queue="default", tick=START + 10, status=record.status, worker_id="w1",
        fired_at=START + 10, finished_at=START + 10,
    )  # fmt: skip
    assert record.status.value == "ok"


async def test_recorder_writes_start_of_long_run(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """The run is recorded as fired, and at its end with its result."""
    notes.lasts = 3
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
        assert await ledger.told() == [(10, "fired", "", 1)]
        await clock.advance(3)
        assert await ledger.told() == [(10, "ok", "", 1)]
    (record,) = await ledger.records()
    assert (record.fired_at, record.finished_at) == (START + 10, START + 13)


async def test_recorder_of_each_worker_writes_its_own_run(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """An entry that every worker fires has as many records of a tick as there are workers."""
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True, id="w1"), working(app, clock=clock, abort=True, id="w2"):
        await clock.advance(11)
    assert [(record.tick - START, record.worker_id) for record in await ledger.records()] == [(10, "w1"), (10, "w2")]
    assert (await ledger.status()).counts.ok == 2


async def test_recorder_writes_batches(app: Aarq, clock: VirtualClock, broker: Noted) -> None:
    """One call for what has gathered in a moment, up to five hundred."""

    async def nothing(_: object) -> None:
        pass

    for number in range(600):
        app.cron("every 10", name=f"n{number}")(nothing)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    assert [len(batch) for batch in broker.written] == [500, 100]


async def test_recorder_in_outage_loses_no_record(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: Noted
) -> None:
    """Local entries fire on time, and their records are written when the broker is back."""
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(1)
        broker.go_down()
        await clock.advance(300)
        assert (notes.began, broker.written) == ([float(tick) for tick in range(10, 310, 10)], [])
        broker.come_up()
        await clock.advance(10)
    assert [record[:2] for record in await ledger.told()] == [(tick, "ok") for tick in range(10, 320, 10)]


async def test_recorder_repeats_write_without_double_counts(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: Noted
) -> None:
    """A batch that is written again counts once."""
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        broker.fail("record_ticks", BrokerUnavailable("reset"), BrokerUnavailable("reset"), answer_lost=True)
        await clock.advance(15)
    assert await ledger.told() == [(10, "ok", "", 1)]
    assert ((await ledger.status()).counts.fired, broker.calls["record_ticks"]) == (1, 3)


async def test_recorder_keeps_end_of_run_while_writing_start(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: Noted
) -> None:
    """What comes during a call goes into the next one."""
    writing, go_on = anyio.Event(), anyio.Event()

    async def slow(records: Any, whole: Any = broker.record_ticks) -> None:
        writing.set()
        await go_on.wait()
        await whole(records)

    broker.record_ticks = slow  # type: ignore[method-assign]
    notes.lasts = 2
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
        await writing.wait()
        await clock.advance(2)
        go_on.set()
        await clock.advance(1)
    assert await ledger.told() == [(10, "ok", "", 1)]


async def test_recorder_drops_oldest_records_over_limit(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: Noted,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The recorder logs when it begins to drop the oldest records, and when it has written the others."""
    monkeypatch.setattr(recorder, "MAX_PENDING", 3)
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        broker.go_down("record_ticks")
        await clock.advance(61)
        broker.come_up()
        await clock.advance(6)
    assert [record[0] for record in await ledger.told()] == [40, 50, 60]
    said = [message for message in caplog.messages if "dropped" in message]
    assert said == [
        "more than 3 ticks wait to be recorded; the oldest records are dropped",
        "all ticks that waited are recorded; 3 older records were dropped",
    ]


async def test_recorder_writes_others_if_one_is_rejected(
    app: Aarq, clock: VirtualClock, ledger: Ledger, broker: Noted
) -> None:
    """They go one by one then, and the refused one last."""

    async def nothing(_: object) -> None:
        pass

    async def picky(records: Sequence[TickRecord], whole: Any = broker.record_ticks) -> None:
        if any(record.name == "bad" for record in records):
            raise ValueError("I do not like it")
        await whole(records)

    broker.record_ticks = picky  # type: ignore[method-assign]
    for name in ("bad", "good", "best"):
        app.cron("every 10", name=name)(nothing)
    async with working(app, clock=clock, abort=True):
        await clock.advance(25)
    for name in ("good", "best"):
        assert (await ledger.told(name))[0] == (10, "ok", "", 1)


async def test_recorder_writes_rest_at_stop(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """What has gathered in the last moment."""
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
    assert await ledger.told() == [(10, "ok", "", 1)]


async def test_recorder_logs_rest_it_cannot_write(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    """And takes its leave of the broker nevertheless."""
    app.cron("every 10", name="entry")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
        broker.go_down("record_ticks")
    line = "the latest ticks could not be recorded: connection refused"
    assert ("aioq.worker", logging.WARNING, line) in caplog.record_tuples
    assert await broker.list_workers() == []


async def test_entries_fire_without_ledger(clock: VirtualClock, notes: Notes) -> None:
    """Policies that need no fleet need no ledger either."""
    app = Aarq(BareBroker(), scheduler=PlainScheduler())
    app.cron("every 10", overlap="allow", jitter=1, misfire="all", timeout=5)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(25)
        clock.suspend(60)
        await clock.advance(1)
    assert notes.ticks == [10, 20, 30, 40, 50, 60, 70, 80]
