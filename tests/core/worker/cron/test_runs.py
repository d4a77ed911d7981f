"""The overlap policy: on one worker, and in a fleet."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from aioq import Aarq
from aioq.testing import VirtualClock
from aioq.worker.cron.runs import CronTasks
from tests.core.brokers import FlakyBroker
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes

KINDS = pytest.mark.parametrize("unique", [False, True], ids=["each", "fleet"])


@KINDS
async def test_overlap_allow_runs_both_and_warns(
    app: Aarq, clock: VirtualClock, notes: Notes, caplog: pytest.LogCaptureFixture, unique: bool
) -> None:
    """The default: with a warning, for most entries are not made for that."""
    notes.lasts = 15
    app.cron("every 10", name="entry", unique=unique)(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(21)
        assert (notes.ticks, notes.cut) == ([10, 20], [])
    line = (
        "cron task entry runs for 2026-01-01T00:00:20+00:00 while its run for 2026-01-01T00:00:10+00:00 is still going; "
        "set overlap= to prevent this"
    )
    assert caplog.record_tuples == [("aioq.worker", logging.WARNING, line)]


@KINDS
async def test_overlap_skip_skips_tick(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """The tick is recorded as skipped, and the next one after the run fires."""
    notes.lasts = 15
    app.cron("every 10", name="entry", unique=unique, overlap="skip")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(31)
        assert notes.ticks == [10, 30]
        await clock.advance(15)
    assert (await ledger.told())[:3] == [(10, "ok", "", 1), (20, "skipped", "overlap", 1), (30, "ok", "", 1)]


@KINDS
async def test_overlap_queue_one_lets_newest_tick_wait(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, unique: bool
) -> None:
    """It runs when the run before has ended; a tick that waited before it is passed by."""
    notes.lasts = 25
    app.cron("every 10", name="entry", unique=unique, overlap="queue_one")(notes)
    async with working(app, clock=clock, abort=True, grace=60) as worker:
        await clock.advance(39)
        worker.stop()
        await clock.advance(30)
    assert (notes.ticks, notes.cut) == ([10, 30], [])
    assert notes.began[1] == pytest.approx(35.5, abs=0.8 if unique else 0.5)
    assert (await ledger.told())[:2] == [(10, "ok", "", 1), (20, "skipped", "overlap", 1)]


@KINDS
async def test_overlap_cancel_cancels_earlier_run(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger, caplog: pytest.LogCaptureFixture, unique: bool
) -> None:
    """The newer run starts when the earlier one has ended. The interrupted run has failed, and nothing is logged."""
    notes.lasts = 15
    app.cron("every 10", name="entry", unique=unique, overlap="cancel")(notes)
    async with working(app, clock=clock, abort=True) as worker:
        await clock.advance(21)
        assert (notes.ticks, notes.cut, [round(at) for at in notes.began]) == ([10, 20], [10], [10, 20])
        worker.stop()
        await clock.advance(15)
    error = "interrupted: a newer run took its place"
    assert await ledger.told() == [(10, "failed", error, 1), (20, "ok", "", 1)]
    assert caplog.messages == []


async def test_overlap_cancel_waits_for_run_that_does_not_end(app: Aarq, clock: VirtualClock) -> None:
    """Two runs never overlap with `cancel`, however long the first takes to clean up."""
    events: list[tuple[str, int]] = []

    @app.cron("every 10", overlap="cancel")
    async def stubborn(ctx: dict[str, Any]) -> None:
        events.append(("begin", round(clock.monotonic())))
        try:
            await clock.sleep(100)
        finally:
            with anyio.CancelScope(shield=True):
                await clock.sleep(4)
            events.append(("end", round(clock.monotonic())))

    async with working(app, clock=clock, abort=True) as worker:
        await clock.advance(25)
        worker.stop()
        worker.stop()
        await clock.advance(10)
    assert events[:3] == [("begin", 10), ("end", 24), ("begin", 24)]
    assert stubborn.__name__ == "stubborn"


async def test_stop_skips_waiting_tick(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """What has not begun does not begin any more."""
    notes.lasts = 15
    app.cron("every 10", name="entry", overlap="queue_one")(notes)
    async with working(app, clock=clock, abort=True, grace=60) as worker:
        await clock.advance(21)
        worker.stop()
        await clock.advance(30)
    assert notes.ticks == [10]
    assert await ledger.told() == [(10, "ok", "", 1), (20, "skipped", "stopping", 1)]


async def test_stop_skips_waiting_tick_of_fleet(app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger) -> None:
    """Its worker has spent it, so no other can fire it."""
    notes.lasts = 15
    app.cron("every 10", name="entry", overlap="queue_one", unique=True)(notes)
    async with working(app, clock=clock, abort=True, grace=60) as worker:
        await clock.advance(21)
        worker.stop()
        await clock.advance(30)
    assert notes.ticks == [10]
    assert await ledger.told() == [(10, "ok", "", 1), (20, "skipped", "stopping", 1)]


# Across the fleet: the first worker is stopped while it runs its tick, so the second fires the next one.


@pytest.mark.parametrize(
    ("overlap", "ticks", "cut"),
    [
        ("allow", [30, 60, 90], []),
        ("skip", [30, 90], []),
        ("cancel", [30, 60, 90], [30]),
        ("queue_one", [30, 60], []),
    ],
)
async def test_overlap_applies_across_workers(
    app: Aarq, clock: VirtualClock, notes: Notes, overlap: Any, ticks: list[float], cut: list[float]
) -> None:
    """The ledger tells workers of each other's runs, for as long as these show signs of life."""
    app.cron("every 30", name="entry", unique=True, overlap=overlap)(notes)
    async with working(app, clock=clock, abort=True, id="w1", grace=300) as first:
        notes.lasts = 53
        await clock.advance(31)
        notes.lasts = 29
        first.stop()
        async with working(app, clock=clock, abort=True, id="w2", grace=300):
            await clock.advance(68)
            assert (notes.ticks, notes.cut) == (ticks, cut)


async def test_overlap_cancel_reaches_other_worker_at_once(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """A worker that loses the claim of the next tick checks at once whether its run was replaced."""
    going: set[str] = set()
    winners: list[str] = []

    @app.cron("every 30", name="entry", unique=True, overlap="cancel")
    async def hog(ctx: dict[str, Any]) -> None:
        winners.append(ctx["worker_id"])
        going.add(ctx["worker_id"])
        try:
            await clock.sleep(1_000)
        finally:
            going.remove(ctx["worker_id"])

    async with working(app, clock=clock, abort=True, id="w1"), working(app, clock=clock, abort=True, id="w2"):
        await clock.advance(0.2)
        for _ in range(6):
            await clock.advance(30)
            assert going == {winners[-1]}
    assert set(winners) == {"w1", "w2"}
    assert hog.__name__ == "hog"


async def test_run_that_is_not_extended_blocks_no_tick(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """The worker of the run is cut off: the next tick fires after half a minute, and later the old run is cancelled."""
    app.cron("every 30", name="entry", unique=True, overlap="skip")(notes)
    notes.lasts = 200
    async with working(app, clock=clock, abort=True, id="w1", grace=300) as first:
        await clock.advance(31)
        first.stop()
        broker.go_down("extend_runs")
        async with working(app, clock=clock, abort=True, id="w2", grace=300):
            await clock.advance(30)
            assert notes.ticks == [30, 60]
            broker.come_up()
            await clock.advance(20)
            assert notes.cut == [30]


async def test_runs_without_a_run_extends_nothing(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """The worker extends the run of a unique entry three times in its time to live, and nothing before and after it."""
    app.cron("every 3600", name="entry", unique=True)(notes)
    notes.lasts = 95
    async with working(app, clock=clock):
        await clock.advance(3_599)
        assert broker.calls["extend_runs"] == 0
        await clock.advance(1_000)
        assert broker.calls["extend_runs"] == 9


async def test_waiting_tick_of_fleet_moves_to_other_worker(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """With `queue_one` a worker waits for the run of another, and is passed by when a newer tick comes."""
    app.cron("every 30", name="entry", unique=True, overlap="queue_one")(notes)
    async with working(app, clock=clock, abort=True, id="w1", grace=300) as first:
        notes.lasts = 65
        await clock.advance(31)
        first.stop()
        async with working(app, clock=clock, abort=True, id="w2", grace=300):
            await clock.advance(66)
            assert (notes.ticks, round(notes.began[1]) in (95, 96)) == ([30, 90], True)
    assert (60, "skipped", "overlap", 1) in await ledger.told()


async def test_won_tick_that_does_not_run_has_failed(app: Aarq, clock: VirtualClock, ledger: Ledger) -> None:
    """The claim has recorded it as fired; with `cancel` it waits for the earlier run, and a stop comes first."""

    @app.cron("every 10", name="entry", unique=True, overlap="cancel")
    async def stubborn(_: object) -> None:
        try:
            await clock.sleep(100)
        finally:
            with anyio.CancelScope(shield=True):
                await clock.sleep(4)

    async with working(app, clock=clock, abort=True) as worker:
        await clock.advance(22)
        worker.stop()
        await clock.advance(5)
    assert [record[1:3] for record in await ledger.told()] == [
        ("failed", "interrupted: a newer run took its place"),
        ("failed", "not run: stopping"),
    ]
    assert stubborn.__name__ == "stubborn"


async def test_cron_tasks_log_failed_task_and_become_idle(caplog: pytest.LogCaptureFixture) -> None:
    """A schedule that raises while its tick is looked at, for example."""
    tasks, release = CronTasks(), anyio.Event()

    async def breaks() -> None:
        await release.wait()
        raise ArithmeticError("no idea when")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            tasks.group = group
            tasks.start(breaks, "entry")
            tasks.start(release.wait, "other")
            release.set()
            await tasks.wait_idle()
    line = "cannot process a tick of cron task entry"
    assert caplog.record_tuples == [("aioq.worker", logging.ERROR, line)]
    assert "ArithmeticError: no idea when" in caplog.text


async def test_cron_tasks_without_task_are_idle() -> None:
    """Before the first task, and after the last."""
    tasks = CronTasks()
    ended: list[str] = []

    async def work() -> None:
        ended.append("task")

    with anyio.fail_after(5):
        await tasks.wait_idle()
        async with anyio.create_task_group() as tasks.group:
            tasks.start(work, "report")
            await tasks.wait_idle()
            assert ended == ["task"]
