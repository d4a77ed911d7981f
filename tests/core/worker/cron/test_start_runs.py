"""Entries with `run_on_start`: one run when a worker starts, or one for the workers of a fleet that start together."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from aioq import Aarq
from aioq.cron import CronEntry, CronOptions, Misfire, Tick
from aioq.cron.misfire import decide
from aioq.model.cron import CronKey
from aioq.testing import VirtualClock
from aioq.worker.cron.due_ticks import merged
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import EverySeconds
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


async def test_local_entry_runs_on_start_of_each_worker(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """Each worker runs it once at its start, and then at its ticks; other entries wait for their first tick."""
    app.cron("every 60", name="warm", run_on_start=True)(notes)
    app.cron("every 60", name="cold")(notes)
    for start, id, count in ((0, "w1", 1), (70, "w2", 4)):
        async with working(app, clock=clock, id=id):
            await clock.advance(1)
            assert (len(notes.ticks), notes.ticks[-1]) == (count, start)
            assert (notes.contexts[-1]["cron_name"], notes.contexts[-1]["worker_id"]) == ("warm", id)
            await clock.advance(69)
    assert notes.ticks == [0, 60, 60, 70, 120, 120]


async def test_local_entry_runs_on_start_without_broker(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """A broker that does not answer delays the run by the second in which the worker asks which entries are paused."""
    app.cron("every 600", run_on_start=True)(notes)
    broker.go_down("register_crons", "renew_registration")
    async with working(app, clock=clock, abort=True):
        await clock.advance(2)
        assert notes.began == [1]


async def test_paused_entry_does_not_run_on_start(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """The worker waits for the list of paused entries before it runs one at its start."""
    app.cron("every 600", name="entry", run_on_start=True)(notes)
    app.cron("every 600", name="unique", run_on_start=True, unique=True)(notes)
    async with working(app, clock=clock):
        await clock.advance(70)
        for name in ("entry", "unique"):
            await broker.pause_cron(CronKey("default", name), note="", by="me")
    notes.ticks.clear()
    async with working(app, clock=clock):
        await clock.advance(5)
    assert notes.ticks == []


async def test_entry_outside_its_bounds_does_not_run_on_start(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """A start before `start` or after `end` runs nothing, and neither does a disabled entry."""
    hour = timedelta(hours=1)
    for unique in (False, True):
        app.cron("every 600", run_on_start=True, unique=unique, start=MIDNIGHT + hour)(notes)
        app.cron("every 600", run_on_start=True, unique=unique, end=MIDNIGHT - hour)(notes)
        app.cron("every 600", run_on_start=True, unique=unique, enabled=False)(notes)
    async with working(app, clock=clock):
        await clock.advance(5)
    assert notes.ticks == []


async def test_new_fleet_entry_runs_once_on_start(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """Five workers that start together run a new entry once, and count the run as a tick."""
    app.cron("every 60", name="entry", unique=True, run_on_start=True)(notes)
    async with AsyncExitStack() as fleet:
        for number in range(5):
            await fleet.enter_async_context(working(app, clock=clock, abort=True, id=f"w{number}"))
        await clock.advance(70)
    assert [round(tick, 3) for tick in notes.ticks] == [0.001, 60]
    assert (await ledger.status()).counts.missed == 0


async def test_fleet_entry_runs_again_on_later_start(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """Starts within the same `grace` count as one, and a later start runs the entry again."""
    app.cron("every 6000", name="entry", unique=True, run_on_start=True, grace=100)(notes)
    seen = list[int]()
    for wait in (10, 60, 60, 100):
        async with working(app, clock=clock, abort=True):
            await clock.advance(wait)
        seen.append(len(notes.ticks))
    assert seen == [1, 1, 1, 2]
    assert [round(tick, 3) for tick in notes.ticks] == [0.001, 100]


async def test_start_run_leaves_owed_ticks(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """A tick that came due while no worker was up fires first, and the run of the start after it."""
    app.cron("every 70", name="entry", unique=True, run_on_start=True, grace=20)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
    await clock.advance(65)  # past the tick of 70 s
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
    await clock.advance(5)
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
    assert [round(tick, 3) for tick in notes.ticks] == [0.001, 70, 80]
    assert [status for _, status, _, _ in await ledger.told()] == ["ok", "ok", "ok"]


async def test_schedule_enqueues_job_on_start(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """A schedule enqueues one job for workers that start together."""
    ran = list[str]()

    async def report(ctx: dict[str, object]) -> None:
        ran.append(str(ctx["job_id"]))

    app.schedule(app.task(report), "every 600", name="entry", run_on_start=True)
    async with working(app, clock=clock, abort=True), working(app, clock=clock, abort=True):
        await clock.advance(10)
    assert ran == ["cron:entry:1767225600001"]


@pytest.mark.parametrize("misfire", ["once", "skip", "all"])
def test_decision_about_tick_beside_schedule(misfire: Misfire) -> None:
    """Every policy ends, and fires a newest tick that the schedule does not have; `all` fires those before it, too."""

    def nothing(ctx: object) -> None: ...

    entry = CronEntry(
        name="n", function=nothing, schedule=EverySeconds(1), options=CronOptions(misfire=misfire, catchup=5000)
    )
    first, beside = MIDNIGHT, MIDNIGHT + timedelta(seconds=3_000.5)
    fire = decide(entry, first, beside, beside).fire
    assert fire[-1] == beside
    assert len(fire) == (1_000 if misfire == "all" else 1)


def test_merged_ticks_are_in_order() -> None:
    """A tick beside the schedule may be older than one that came due before it."""

    def nothing(ctx: object) -> None: ...

    entry = CronEntry(name="n", function=nothing, schedule=EverySeconds(1))
    later = MIDNIGHT + timedelta(seconds=1)
    assert merged(Tick(entry, later), Tick(entry, MIDNIGHT)) == Tick(entry, later, MIDNIGHT)
