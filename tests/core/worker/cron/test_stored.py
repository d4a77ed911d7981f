"""Workers fire the schedules that the broker stores."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from aioq import Aarq, Task
from aioq.model.cron import CronKey
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import settle_down, until, working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import START, Notes

KEY = CronKey("default", "c-7")


@pytest.fixture
def report(app: Aarq, notes: Notes) -> Task[..., Any]:
    """A task that takes notes."""
    return app.task(name="report")(notes.__call__)


async def recorded(broker: FlakyBroker, name: str = "c-7") -> list[tuple[float, str, str, int]]:
    """Return tick, status, reason and count of the records of a schedule, oldest first."""
    records = await broker.tick_history(CronKey("default", name))
    return [(one.tick - START, one.status.value, one.reason, one.count) for one in reversed(records)]


async def test_workers_enqueue_one_job_per_tick(
    app: Aarq, clock: VirtualClock, notes: Notes, report: Task[..., Any]
) -> None:
    """Three workers share a schedule, and each tick becomes one job with its arguments and its moment."""
    await app.schedules.put("c-7", report, "every 10", args=("sales",))
    async with (
        working(app, clock=clock, abort=True, id="w1"),
        working(app, clock=clock, abort=True, id="w2"),
        working(app, clock=clock, abort=True, id="w3"),
    ):
        await clock.advance(35)
        await until(lambda: len(notes.ticks) == 3)
    assert notes.ticks == [10, 20, 30]
    assert {ctx["args"] for ctx in notes.contexts} == {("sales",)}
    assert {ctx["cron_name"] for ctx in notes.contexts} == {"c-7"}


async def test_put_while_a_worker_runs_fires_its_next_tick(
    app: Aarq, clock: VirtualClock, notes: Notes, report: Task[..., Any]
) -> None:
    """A schedule that is put, changed and removed while a worker waits counts at once."""
    async with working(app, clock=clock, abort=True):
        await clock.advance(5)
        await app.schedules.put("c-7", report, "every 10")
        await clock.advance(6)
        await app.schedules.put("c-7", report, "every 4")
        await clock.advance(6)
        await app.schedules.remove("c-7")
        await clock.advance(20)
    assert notes.ticks == [10, 12, 16]


async def test_pause_skips_ticks_until_resumed(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes, report: Task[..., Any]
) -> None:
    """Ticks of a pause are recorded as skipped, and the first one after it fires."""
    await app.schedules.put("c-7", report, "every 10")
    await app.schedules.pause("c-7")
    async with working(app, clock=clock, abort=True):
        await clock.advance(25)
        await app.schedules.resume("c-7")
        await clock.advance(10)
        await until(lambda: notes.ticks)
    assert notes.ticks == [30]
    assert (await recorded(broker))[:2] == [(10, "skipped", "paused", 1), (20, "skipped", "paused", 1)]


async def test_scheduled_at_is_in_the_zone_of_the_schedule(
    app: Aarq, clock: VirtualClock, notes: Notes, report: Task[..., Any]
) -> None:
    """The context of a job shows the moment in the zone that was put."""
    await app.schedules.put("c-7", report, "every 10", tz="Asia/Tokyo")
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
        await until(lambda: notes.contexts)
    assert notes.contexts[0]["scheduled_at"].isoformat() == "2026-01-01T09:00:10+09:00"


async def test_ticks_without_a_worker_are_missed_unless_caught_up(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes, report: Task[..., Any]
) -> None:
    """Ticks from before the worker's start count as missed beyond `grace`; `catchup` makes up for them."""
    await app.schedules.put("c-7", report, "every 100", grace=50)
    await app.schedules.put("caught", report, "every 100", grace=50, catchup=1000, misfire="all")
    clock.suspend(450)
    async with working(app, clock=clock, abort=True):
        await clock.advance(60)
        await until(lambda: len(notes.ticks) == 7)
    assert sorted(notes.ticks) == [100, 200, 300, 400, 400, 500, 500]
    assert [one[:3] for one in await recorded(broker)][:1] == [(300, "missed", "no worker was up")]
    assert (await recorded(broker))[0][3] == 3


@pytest.mark.parametrize(
    ("misfire", "fired", "others"),
    [
        ("once", [30], [(20, "skipped", "coalesced", 2)]),
        ("all", [10, 20, 30], []),
        ("skip", [30], [(20, "skipped", "coalesced", 2)]),
    ],
)
async def test_misfire_policies_decide_ticks_that_came_due_together(
    app: Aarq,
    clock: VirtualClock,
    broker: FlakyBroker,
    notes: Notes,
    report: Task[..., Any],
    *,
    misfire: Any,
    fired: list[int],
    others: list[tuple[int, str, str, int]],
) -> None:
    """After a suspend the policy decides about all ticks since the last one that was decided."""
    await app.schedules.put("c-7", report, "every 10", misfire=misfire)
    async with working(app, clock=clock, abort=True):
        await settle_down()
        clock.suspend(35)
        await clock.advance(1)
        await until(lambda: len(notes.ticks) == len(fired))
    assert sorted(notes.ticks) == fired
    assert [one for one in await recorded(broker) if one[1] == "skipped"] == others


async def test_jitter_delays_ticks_and_loses_none(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes, report: Task[..., Any]
) -> None:
    """With a jitter as long as the interval each tick fires once, in order, and not before its moment."""
    await app.schedules.put("c-7", report, "every 10", jitter=10)
    async with working(app, clock=clock, abort=True):
        await clock.advance(121)
    assert notes.ticks == list(range(10, 111, 10))
    assert all(tick <= began <= tick + 10 for tick, began in zip(notes.ticks, notes.began, strict=True))


async def test_overlap_skip_applies(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes, report: Task[..., Any]
) -> None:
    """With `skip` a tick is skipped while the job of the one before goes on."""
    notes.lasts = 15.0
    await app.schedules.put("c-7", report, "every 10", overlap="skip")
    async with working(app, clock=clock, abort=True):
        await clock.advance(46)
    assert notes.ticks == [10, 30]
    assert (20, "skipped", "overlap", 1) in await recorded(broker)


async def test_overlap_cancel_ends_the_earlier_job(
    app: Aarq, clock: VirtualClock, notes: Notes, report: Task[..., Any]
) -> None:
    """The policy of a stored schedule is found by the worker that runs its job."""
    notes.lasts = 15.0
    await app.schedules.put("c-7", report, "every 10", overlap="cancel")
    async with working(app, clock=clock, abort=True):
        await clock.advance(28)
    assert (notes.ticks, notes.cut[:1]) == ([10, 20], [10])


async def test_worker_leaves_unknown_tasks_to_others(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, report: Task[..., Any], notes: Notes
) -> None:
    """A worker of a release without the task fires nothing; one that knows it fires the tick."""
    old = Aarq(broker, name=app.name, scheduler=PlainScheduler())
    old.task(name="older")(notes.__call__)
    await app.schedules.put("c-7", report, "every 10")
    async with working(old, clock=clock, abort=True, id="old"):
        await clock.advance(15)
        assert await recorded(broker) == []
    async with working(app, clock=clock, abort=True, id="new"):
        await until(lambda: notes.ticks)
    assert notes.ticks == [10]


async def test_unreadable_schedule_is_logged_once_and_put_off(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, report: Task[..., Any], notes: Notes,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A schedule of a newer release is left to it, and delays no other."""
    await app.schedules.put("c-7", report, "every 10")
    record = await broker.get_schedule(KEY)
    assert record is not None
    newer = replace(record.schedule, definition=replace(record.schedule.definition, options={"moon": "full"}))
    await broker.put_schedule(newer, revision="newer", due=record.due)
    await app.schedules.put("fine", report, "every 10")
    async with working(app, clock=clock, abort=True):
        await clock.advance(200)
    assert len(notes.ticks) == 20
    (line,) = [one for one in caplog.records if getattr(one, "event", "") == "schedule_unreadable"]
    assert "does not know the policy moon" in line.getMessage()


async def test_lost_answers_fire_no_tick_twice(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes, report: Task[..., Any]
) -> None:
    """A worker whose firing was done and not answered finds it done, and loses nothing."""
    broker.fail("fire_schedules", *[ConnectionError("gone")] * 4, answer_lost=True)
    broker.fail("fire_schedules", *[ConnectionError("gone")] * 2)
    await app.schedules.put("c-7", report, "every 20")
    async with working(app, clock=clock, abort=True):
        await clock.advance(195)
    assert notes.ticks == list(range(20, 181, 20))
    assert broker.calls["fire_schedules"] >= 11


async def test_declared_name_fires_the_code_only(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, notes: Notes, report: Task[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """If a later release declares the name of a stored schedule, its entry fires, with a warning for the other."""
    await app.schedules.put("c-7", report, "every 5", args=("stored",))
    app.schedule(report, "every 10", args=("code",), name="c-7")
    with caplog.at_level(logging.WARNING):
        async with working(app, clock=clock, abort=True):
            await clock.advance(25)
    assert [(ctx["args"], tick) for ctx, tick in zip(notes.contexts, notes.ticks, strict=True)] == [
        (("code",), 10), (("code",), 20),
    ]  # fmt: skip
    assert any(getattr(one, "event", "") == "schedule_superseded" for one in caplog.records)


async def test_signed_schedule_fires_and_forged_one_does_not(
    broker: FlakyBroker, clock: VirtualClock, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    """With signing keys a worker fires what a client with a key has put, and nothing that was changed since."""
    app = Aarq(broker, name="app", scheduler=PlainScheduler(), signing_keys=["0123456789abcdef"])
    report = app.task(name="report")(notes.__call__)
    for name in ("c-7", "c-8"):
        await app.schedules.put(name, report, "every 10", args=(name,))
    record = await broker.get_schedule(CronKey("default", "c-8"))
    assert record is not None
    text = replace(record.schedule.text, expression="every 1")
    await broker.put_schedule(replace(record.schedule, text=text), revision="forged", due=record.due)
    async with working(app, clock=clock, abort=True):
        await clock.advance(25)
    assert [ctx["args"] for ctx in notes.contexts] == [("c-7",), ("c-7",)]
    assert any("c-8 is not fired" in one.getMessage() for one in caplog.records)


async def test_schedule_that_ends_is_not_due_again(
    app: Aarq, clock: VirtualClock, notes: Notes, report: Task[..., Any]
) -> None:
    """After the tick before `end` the schedule stays stored without a next moment."""
    await app.schedules.put("c-7", report, "every 10", end=datetime(2026, 1, 1, 0, 0, 25, tzinfo=UTC))
    async with working(app, clock=clock, abort=True):
        await clock.advance(60)
    assert notes.ticks == [10, 20]
    info = await app.schedules.get("c-7")
    assert info is not None
    assert info.next_at is None


async def test_broker_away_at_the_tick_fires_it_afterwards(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, ledger: Ledger, notes: Notes, report: Task[..., Any]
) -> None:
    """A tick that comes due in an outage fires once the broker answers again."""
    await app.schedules.put("c-7", report, "every 10")
    async with working(app, clock=clock, abort=True):
        await clock.advance(5)
        broker.go_down("reserve_schedules")
        await clock.advance(7)
        assert notes.ticks == []
        broker.come_up()
        await clock.advance(5)
    assert notes.ticks == [10]


class WaitingBroker(FlakyBroker):
    """Notes for how long its worker waits for due schedules."""

    def __init__(self, *, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.waits: list[float] = []

    async def wait_for_schedules(self, queues: Sequence[str], tasks: Collection[str], *, timeout: float) -> None:
        """Note the time."""
        self.waits.append(timeout)
        await super().wait_for_schedules(queues, tasks, timeout=timeout)


async def test_worker_waits_for_the_next_tick_of_what_it_has_fired(clock: VirtualClock, notes: Notes) -> None:
    """It does not wait for the end of the reservation, which a broker names that has answered before the firing."""
    broker = WaitingBroker(clock=clock)
    app = Aarq(broker, name="app", scheduler=PlainScheduler())
    report = app.task(name="report")(notes.__call__)
    await app.schedules.put("c-7", report, "every 2")
    async with working(app, clock=clock, abort=True):
        await clock.advance(7)
        await until(lambda: len(notes.ticks) == 3)
    assert notes.ticks == [2, 4, 6]
    assert broker.waits == [2.0] * 4
