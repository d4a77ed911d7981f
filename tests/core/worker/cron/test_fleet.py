"""Unique entries: each tick fires once for the fleet, with several workers and with faults."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from aioq import Aarq, BrokerFull, BrokerUnavailable, Worker
from aioq.clock import SteadyClock
from aioq.cron import Tick
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes


def every(seconds: int, until: int) -> list[float]:
    """Return the ticks up to a moment."""
    return [float(tick) for tick in range(seconds, until + 1, seconds)]


@pytest.mark.parametrize("skew", [0, 3600, -3600], ids=["right", "ahead", "behind"])
async def test_fleet_with_wrong_clocks_fires_each_tick_once(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, skew: float
) -> None:
    """Five workers, some of them with clocks an hour off: fires are ticks, on time, none doubled, none missed."""
    app.cron("every 5", name="entry", unique=True)(notes)
    async with AsyncExitStack() as fleet:
        for number in range(5):
            own = SteadyClock(clock, offset=skew * (number % 3))
            await fleet.enter_async_context(working(app, clock=own, abort=True, id=f"w{number}"))
        await clock.advance(131)
    assert notes.ticks == every(5, 130)
    assert all(0 <= began - tick < 0.06 for began, tick in zip(notes.began, notes.ticks, strict=True))
    assert len({ctx["worker_id"] for ctx in notes.contexts}) > 1
    counts = (await ledger.status()).counts
    assert (counts.fired, counts.ok, counts.missed) == (26, 26, 0)


async def test_fleet_ignores_steps_of_host_clock(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes
) -> None:
    """The fleet goes by the broker's clock, which here is one of its own."""
    app.cron("every 5", name="entry", unique=True)(notes)
    async with working(app, clock=clock, abort=True):
        for step in (7_200, -1, -10_000, 40):
            await clock.advance(20)
            clock.step(step)
        await clock.advance(21)
    assert notes.ticks == every(5, 100)


async def test_killed_worker_loses_only_its_run(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: FlakyBroker
) -> None:
    """The run is not repeated. Other workers fire the ticks after it."""
    notes.lasts = 2
    app.cron("every 10", name="entry", unique=True)(notes)
    async with anyio.create_task_group() as tg:
        doomed = Worker(app, clock=clock, id="doomed", handle_signals=False)
        tg.start_soon(doomed.run)
        await clock.advance(11)
        broker.go_down()  # as a kill: not a word leaves it any more
        tg.cancel_scope.cancel()
    broker.come_up()
    async with working(app, clock=clock, abort=True, id="other"):
        await clock.advance(22)
    assert (notes.ticks, notes.cut) == ([10, 20, 30], [10])
    assert [record[:2] for record in await ledger.told()] == [(10, "fired"), (20, "ok"), (30, "ok")]


async def test_cancelled_worker_records_interrupted_run(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """If the broker answers, the worker records that the run was interrupted."""
    notes.lasts = 2
    app.cron("every 10", name="entry", unique=True)(notes)
    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, clock=clock, handle_signals=False).run)
        await clock.advance(11)
        tg.cancel_scope.cancel()
    assert await ledger.told() == [(10, "failed", "interrupted: the worker stopped", 1)]


async def test_lost_answer_loses_no_tick(app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker) -> None:
    """The claim is repeated under its own id, and answered as before."""
    app.cron("every 10", name="entry", unique=True)(notes)
    async with working(app, clock=clock, abort=True):
        for _ in range(5):
            broker.fail("claim_tick", OSError("reset"), answer_lost=True)
            await clock.advance(10)
        await clock.advance(1)
    assert notes.ticks == every(10, 50)


async def test_tick_is_missed_if_broker_stays_away(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """The tick is recorded as missed once, after the grace, although workers win later ticks."""
    app.cron("every 300", name="entry", unique=True, grace=20)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(299)
        broker.go_down()
        await clock.advance(40)
        broker.come_up()
        await clock.advance(20)
        assert await ledger.told() == [(300, "missed", "broker away", 1)]
        await clock.advance(250)
    assert await ledger.told() == [(300, "missed", "broker away", 1), (600, "ok", "", 1)]
    assert ((await ledger.status()).counts.missed, notes.ticks) == (1, [600])
    line = "cron task entry missed its run of 2026-01-01T00:05:00+00:00: the broker was away for 20 s"
    assert ("aioq.worker", logging.ERROR, line) in caplog.record_tuples


async def test_tick_is_missed_if_broker_stays_full(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Log and ledger say that the broker was full, not that it was away; later ticks fire."""
    app.schedule(app.task(name="work")(notes), "every 300", name="entry", grace=20)
    async with working(app, clock=clock, abort=True):
        await clock.advance(299)
        broker.go_down("claim_tick", "claim_ticks", error=BrokerFull("the server is full"))
        await clock.advance(40)
        broker.come_up()
        await clock.advance(20)
        assert await ledger.told() == [(300, "missed", "broker full", 1)]
        await clock.advance(250)
    assert [status for _, status, *_ in await ledger.told()] == ["missed", "ok"]
    line = "cron task entry missed its run of 2026-01-01T00:05:00+00:00: the broker was full for 20 s"
    assert ("aioq.worker", logging.ERROR, line) in caplog.record_tuples
    assert "broker rejected the call, retrying: the server is full" in caplog.text


async def test_stop_does_not_wait_for_absent_broker(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """The claim ends at once, and the tick is not recorded as missed: other workers may fire it."""
    app.cron("every 10", name="entry", unique=True, grace=3600)(notes)
    async with working(app, clock=clock, abort=True, grace=1000) as worker:
        await clock.advance(9)
        broker.go_down("claim_tick")
        await clock.advance(5)
        assert broker.calls["claim_tick"] > 1
        worker.stop()
        await clock.advance(1)
        assert await broker.list_workers() == []
    assert notes.ticks == []


async def test_ticks_during_downtime_are_missed(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """A tick past its grace does not fire by default; the worker that wins the next tick records it."""
    app.cron("every 10", name="entry", unique=True, grace=1)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    await clock.advance(51)
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
    assert notes.ticks == [10, 70]
    assert await ledger.told() == [(10, "ok", "", 1), (60, "missed", "no worker was up", 5), (70, "ok", "", 1)]


async def test_started_worker_fires_tick_within_grace(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """A restart of the whole fleet that takes less than that misses nothing; `misfire` has its say."""
    app.cron("every 10", name="entry", unique=True, grace=25)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    await clock.advance(50)
    async with working(app, clock=clock, abort=True):
        await clock.advance(8)
    assert notes.ticks == [10, 60]
    assert await ledger.told() == [
        (10, "ok", "", 1),
        (30, "missed", "no worker was up", 2),
        (50, "skipped", "coalesced", 2),
        (60, "ok", "", 1),
    ]


async def test_started_worker_loses_no_tick_of_waiting_claim(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """The first claim of the new worker has the ticks that the other one cannot get an answer for."""
    app.cron("every 10", name="entry", unique=True, misfire="all")(notes)
    async with working(app, clock=clock, abort=True, id="waits"):
        await clock.advance(9)
        broker.fail("claim_tick", OSError("reset"), answer_lost=True)
        await clock.advance(1.06)
        broker.go_down("claim_tick")
        await clock.advance(19)
        async with working(app, clock=clock, abort=True, id="new"):
            await clock.advance(0.94)
            broker.come_up()
            await clock.advance(5)
    assert sorted({*notes.ticks, 10}) == [10, 20, 30]


async def test_worker_started_at_tick_claims_backlog_with_it(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """A tick that comes due before the backlog is claimed does not take the backlog away."""
    app.cron("every 10", name="entry", unique=True, misfire="all")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    await clock.advance(19)
    app._scheduler = Eager()
    async with working(app, clock=clock, abort=True):
        await clock.advance(5)
    assert notes.ticks == [10, 20, 30]


class Eager(PlainScheduler):
    """A scheduler that fires at its start the tick of that moment."""

    async def run(self, entries: Any, fire: Any, *, clock: Any) -> None:
        """Fire it, and go on with those that follow."""
        for entry in entries:
            fire(Tick(entry, datetime.fromtimestamp(clock.time(), UTC)))
        await super().run(entries, fire, clock=clock)


async def test_restarted_loop_records_tick_it_has_not_seen(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """The worker does not take the tick before and the tick after the restart for adjacent ones."""
    app.cron("every 1", name="entry", unique=True, grace=1)(notes)
    app._scheduler = EndsOnce()
    async with working(app, clock=clock, abort=True):
        await clock.advance(4.5)
    assert await ledger.told() == [
        (1, "ok", "", 1),
        (2, "missed", "no worker was up", 1),
        (3, "ok", "", 1),
        (4, "ok", "", 1),
    ]


class EndsOnce(PlainScheduler):
    """A scheduler whose first loop ends at its first tick."""

    async def run(self, entries: Any, fire: Any, *, clock: Any) -> None:
        """Fire until the loop ends."""
        with anyio.CancelScope() as scope:

            def fire_and_end(tick: Tick) -> None:
                fire(tick)
                if self.runs == 1:
                    scope.cancel()

            await super().run(entries, fire_and_end, clock=clock)


async def test_worker_started_during_jitter_fires_tick(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """The workers that were up at the tick may be gone when it is due."""
    app.cron("every 3600", name="entry", unique=True, jitter=3000, grace=10)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(3601)
    await clock.advance(20)
    async with working(app, clock=clock, abort=True):
        await clock.advance(3000)
    assert notes.ticks == [3600]


async def test_catchup_fires_ticks_during_downtime(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """One of the started workers fires each tick within `catchup`; older ticks are missed."""
    app.cron("every 10", name="entry", unique=True, misfire="all", catchup=35, grace=1)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    await clock.advance(50)
    async with working(app, clock=clock, abort=True, id="w1"), working(app, clock=clock, abort=True, id="w2"):
        await clock.advance(10)
    assert notes.ticks == [10, 30, 40, 50, 60, 70]
    assert (20, "missed", "no worker was up", 1) in await ledger.told()


async def test_catchup_applies_misfire_policy(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """With `once` the newest of them fires, and the others are coalesced."""
    app.cron("every 10", name="entry", unique=True, catchup=35)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    await clock.advance(50)
    async with working(app, clock=clock, abort=True):
        await clock.advance(2)
    assert notes.ticks == [10, 60]
    assert (50, "skipped", "coalesced", 3) in await ledger.told()


async def test_new_entry_has_no_backlog(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """However far its `catchup` reaches."""
    await clock.advance(1000)
    app.cron("every 10", name="entry", unique=True, misfire="all", catchup=900)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    assert notes.ticks == [1010]


async def test_restart_repeats_no_tick(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """What was fired before is not made up for."""
    app.cron("every 10", name="entry", unique=True, misfire="all", catchup=3600)(notes)
    for _ in range(4):
        async with working(app, clock=clock, abort=True):
            await clock.advance(24)
    assert notes.ticks == every(10, 90)


async def test_catch_up_skips_schedule_that_raises(
    app: Aarq, clock: VirtualClock, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker logs the failure, and other entries fire."""

    class Broken:
        def next_after(self, instant: Any) -> Any:
            raise ArithmeticError("no idea when")

    app.cron(Broken(), name="broken", unique=True, catchup=60)(notes)
    app.cron("every 10", name="entry", unique=True, catchup=60)(notes)
    app._scheduler = Lenient()
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    assert notes.ticks == [10]
    assert "cannot catch up on cron task broken: its schedule failed" in caplog.messages


class Lenient(PlainScheduler):
    """A scheduler that leaves out entries whose schedules raise."""

    async def run(self, entries: Any, fire: Any, *, clock: Any) -> None:
        """Run the others."""
        await super().run([entry for entry in entries if entry.name != "broken"], fire, clock=clock)


def version(broker: FlakyBroker, notes: Notes, name: str = "app", **entries: str) -> Aarq:
    """Return an app with entries of these schedules, as one of its versions has them."""
    app = Aarq(broker, name=name, scheduler=PlainScheduler())
    for entry, schedule in entries.items():
        app.cron(schedule, name=entry, unique=True)(notes)
    return app


async def test_rolling_deploy_fires_no_tick_twice(clock: VirtualClock, broker: FlakyBroker, notes: Notes) -> None:
    """Old workers fire an edited entry no more once the new version is registered; the new ones begin at once."""
    old = version(broker, notes, entry="every 10")
    new = version(broker, notes, entry="every 15")
    async with (
        working(old, clock=clock, abort=True, id="old1") as first,
        working(old, clock=clock, abort=True, id="old2") as second,
    ):
        await clock.advance(31)
        async with working(new, clock=clock, abort=True, id="new1"):
            await clock.advance(10)
            first.stop()
            async with working(new, clock=clock, abort=True, id="new2"):
                await clock.advance(30)
                second.stop()
                await clock.advance(20)
    assert notes.ticks == [10, 20, 30, 45, 60, 75, 90]


async def test_edited_schedule_has_no_backlog(
    clock: VirtualClock, broker: FlakyBroker, notes: Notes, ledger: Ledger
) -> None:
    """Ticks that the new expression would have had before the deploy are neither fired nor missed."""
    async with working(version(broker, notes, entry="every 60"), clock=clock, abort=True):
        await clock.advance(61)
    await clock.advance(50)
    async with working(version(broker, notes, entry="every 10"), clock=clock, abort=True):
        await clock.advance(10)
    assert notes.ticks == [60, 120]
    assert [record[:3] for record in await ledger.told()] == [(60, "ok", ""), (120, "ok", "")]


async def test_removed_entry_does_not_fire(clock: VirtualClock, broker: FlakyBroker, notes: Notes) -> None:
    """Not even on workers that still have it."""
    old = version(broker, notes, kept="every 10", removed="every 10")
    async with working(old, clock=clock, abort=True, id="old"):
        await clock.advance(11)
        async with working(version(broker, notes, kept="every 10"), clock=clock, abort=True, id="new"):
            await clock.advance(20)
    assert sorted(notes.ticks) == [10, 10, 20, 30]


async def test_entry_disabled_by_deploy_does_not_fire(clock: VirtualClock, broker: FlakyBroker, notes: Notes) -> None:
    """Not even on workers of the release before; a step back to that enables it again."""
    old, new = (version(broker, notes, kept="every 10") for _ in range(2))
    new.cron("every 10", name="off", unique=True, enabled=False)(notes)
    old.cron("every 10", name="off", unique=True)(notes)
    async with working(old, clock=clock, abort=True, id="old"):
        await clock.advance(11)
        async with working(new, clock=clock, abort=True, id="new"):
            await clock.advance(20)
        async with working(old, clock=clock, abort=True, id="back"):
            await clock.advance(10)
    assert sorted(notes.ticks) == [10, 10, 20, 30, 40, 40]


async def test_deploy_leaves_other_app_alone(clock: VirtualClock, broker: FlakyBroker, notes: Notes) -> None:
    """Two apps of one namespace deploy each for itself."""
    theirs = version(broker, notes, name="theirs", theirs="every 10")
    async with (
        working(theirs, clock=clock, abort=True),
        working(version(broker, Notes(clock), mine="every 10"), clock=clock, abort=True),
    ):
        await clock.advance(11)
        async with working(version(broker, Notes(clock)), clock=clock, abort=True):
            await clock.advance(20)
    assert notes.ticks == [10, 20, 30]


async def test_unique_entry_fires_once_per_tick(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """Of two workers one fires each tick, within 50 ms of it."""
    app.cron("every 5", unique=True)(notes)
    async with working(app, clock=clock, id="w1"), working(app, clock=clock, id="w2"):
        await clock.advance(21)
    assert [round(at) for at in notes.began] == [5, 10, 15, 20]
    assert all(abs(at - round(at)) < 0.051 for at in notes.began)


async def test_unique_entry_with_fast_host_clock_fires_on_time(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes
) -> None:
    """A unique entry goes by the broker's clock, however wrong the worker's own is."""
    clock.step(3600)  # after the broker has read its clock: the worker's is an hour ahead
    app.cron("every 60", unique=True)(notes)
    async with working(app, clock=clock):
        await clock.advance(59)
        assert notes.began == []
        await clock.advance(62)
    assert [round(at) for at in notes.began] == [60, 120]


class Shifted(FlakyBroker):
    """A broker whose clock a test sets."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.behind = 0.0
        now = self._table.now
        self._table.now = lambda: now() - self.behind  # type: ignore[method-assign]  # as if it were set


async def test_unique_entry_waits_for_broker_clock_set_back(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """When the broker's clock was set back, the worker waits until it says that the tick has come."""
    app.broker = broker = Shifted(clock)
    app.cron("every 60", unique=True)(notes)
    async with working(app, clock=clock):
        await clock.advance(30)
        broker.behind = 10
        await clock.advance(39)
        assert notes.began == []
        await clock.advance(2)
        assert [round(at) for at in notes.began] == [70]
        await clock.advance(58)
        assert len(notes.began) == 1
        await clock.advance(2)
    assert [round(at) for at in notes.began] == [70, 130]


async def test_unique_entry_follows_broker_clock_set_ahead(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """The worker sets its clock by every answer; later ticks fire by it."""
    app.broker = broker = Shifted(clock)
    app.cron("every 60", unique=True)(notes)
    async with working(app, clock=clock):
        await clock.advance(30)
        broker.behind = -10
        await clock.advance(201)
    assert [round(at) for at in notes.began] == [60, 110, 170, 230]


async def test_unique_entry_fires_late_after_short_outage(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes
) -> None:
    """The worker repeats the claim, and the tick fires when the broker is back."""
    app.cron("every 60", unique=True)(notes)
    async with working(app, clock=clock):
        await clock.advance(59)
        broker.go_down("claim_tick")
        await clock.advance(31)
        assert notes.began == []
        broker.come_up()
        await clock.advance(5)
    assert len(notes.began) == 1


async def test_unique_entry_misses_tick_in_long_outage(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    """After a minute the worker logs the tick as missed, and does not fire it later."""
    app.cron("every 600", unique=True, name="nightly")(notes)
    async with working(app, clock=clock):
        await clock.advance(599)
        broker.go_down("claim_tick")
        await clock.advance(70)
        broker.come_up()
        await clock.advance(520)
        assert notes.began == []
        await clock.advance(12)
    assert [round(at) for at in notes.began] == [1200]
    line = "cron task nightly missed its run of 2026-01-01T00:10:00+00:00: the broker was away for 60 s"
    assert ("aioq.worker", logging.ERROR, line) in caplog.record_tuples


async def test_unique_run_may_take_longer_than_grace(app: Aarq, clock: VirtualClock) -> None:
    """The patience with the broker is none with the task: it may run for hours."""
    ended: list[float] = []

    @app.cron("every 600", unique=True, grace=1)
    async def slow(_: object) -> None:
        await clock.sleep(500)
        ended.append(clock.monotonic())

    async with working(app, clock=clock):
        await clock.advance(1_101)
    assert ([round(at) for at in ended], slow.__name__) == ([1_100], "slow")


async def test_unique_entry_waits_for_broker_at_start(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes
) -> None:
    """Until the broker tells the time no unique entry fires; others do."""
    alone: list[float] = []
    app.cron("every 1", unique=True, name="unique")(notes)

    @app.cron("every 1", name="alone")
    async def note(_: object) -> None:
        alone.append(clock.monotonic())

    broker.fail("time", *[BrokerUnavailable("connection refused")] * 3)
    async with working(app, clock=clock):
        await clock.advance(3.5)
    assert (len(alone), note.__name__) == (3, "note")
    assert 1 <= len(notes.began) <= 3
