"""What happens to a tick is an event of the worker that decides it, once."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from aioq import Aarq, JobEvent, JobFact, TickEvent, TickFact
from aioq.model.cron import CronKey
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import working
from tests.core.worker.cron.notes import Notes


@pytest.fixture
def facts(app: Aarq) -> list[TickFact]:
    """All facts of ticks."""
    found: list[TickFact] = []
    app.on(TickEvent, found.append)
    return found


def seen(facts: list[TickFact], start: float) -> list[tuple[str, float, str]]:
    """Return event, tick and reason of facts in short."""
    return [(fact.event.removeprefix("tick_"), fact.tick - start, fact.reason) for fact in facts]


@pytest.mark.parametrize("unique", [False, True])
async def test_tick_of_function_is_fired_and_completed(
    app: Aarq, clock: VirtualClock, notes: Notes, facts: list[TickFact], unique: bool
) -> None:
    """A tick is fired, and completed with the seconds that its function took."""
    start = clock.time()
    notes.lasts = 2
    app.cron("every 5", name="entry", unique=unique)(notes)
    async with working(app, clock=clock, id="w1"):
        await clock.advance(8)
    assert seen(facts, start) == [("fired", 5, ""), ("completed", 5, "")]
    fired, ended = facts
    assert fired.late == pytest.approx(0, abs=0.1)
    assert ended.duration == pytest.approx(2, abs=0.1)
    assert {(fact.name, fact.queue, fact.worker_id) for fact in facts} == {("entry", "default", "w1")}


async def test_tick_of_failing_function_has_its_error(app: Aarq, clock: VirtualClock, facts: list[TickFact]) -> None:
    """A function that raises ends the tick as failed, with the error in one line."""

    @app.cron("every 5", name="entry")
    async def entry(_: object) -> None:
        raise ValueError("no disk")

    async with working(app, clock=clock):
        await clock.advance(6)
    assert [(fact.event, fact.error) for fact in facts] == [
        (TickEvent.FIRED, ""),
        (TickEvent.FAILED, "ValueError: no disk"),
    ]


async def test_overlapping_tick_is_skipped_with_reason(
    app: Aarq, clock: VirtualClock, notes: Notes, facts: list[TickFact]
) -> None:
    """A tick that comes while the run before it goes on is skipped because of the overlap."""
    start = clock.time()
    notes.lasts = 7
    app.cron("every 5", name="entry", overlap="skip")(notes)
    async with working(app, clock=clock):
        await clock.advance(13)
    assert seen(facts, start) == [("fired", 5, ""), ("skipped", 10, "overlap"), ("completed", 5, "")]


async def test_paused_tick_of_fleet_is_skipped_once(
    app: Aarq, clock: VirtualClock, notes: Notes, facts: list[TickFact], broker: FlakyBroker
) -> None:
    """Of three workers one tells that a tick of a paused entry is skipped."""
    start = clock.time()
    app.cron("every 5", name="entry", unique=True)(notes)
    async with AsyncExitStack() as fleet:
        for number in range(3):
            await fleet.enter_async_context(working(app, clock=clock, id=f"w{number}"))
        await clock.advance(1)
        await broker.pause_cron(CronKey("default", "entry"), note="", by="ada")
        await clock.advance(6)
    assert seen(facts, start) == [("skipped", 5, "paused")]


async def test_tick_of_schedule_is_fired_with_its_job(
    app: Aarq, clock: VirtualClock, facts: list[TickFact], broker: FlakyBroker
) -> None:
    """A tick that enqueues a job names it, and the job is enqueued, once for a fleet."""
    enqueued = list[JobFact]()
    app.on(JobEvent.ENQUEUED, enqueued.append)
    start = clock.time()

    @app.task(name="t")
    async def work(_: object) -> None: ...

    app.schedule(work, "every 5", name="entry")
    async with AsyncExitStack() as fleet:
        for number in range(3):
            await fleet.enter_async_context(working(app, clock=clock, id=f"w{number}"))
        await clock.advance(6)
    assert seen(facts, start) == [("fired", 5, "")]
    assert [(fact.job_id, fact.task) for fact in enqueued] == [(facts[0].job_id, "t")]


async def test_ticks_without_worker_are_missed_together(
    app: Aarq, clock: VirtualClock, notes: Notes, facts: list[TickFact]
) -> None:
    """The ticks between two workers are one fact with their number and why."""
    app.cron("every 5", name="entry", unique=True)(notes)
    async with working(app, clock=clock):
        await clock.advance(6)
    await clock.advance(600)
    facts.clear()
    async with working(app, clock=clock):
        await clock.advance(6)
    missed = [fact for fact in facts if fact.event is TickEvent.MISSED]
    assert sum(fact.count for fact in missed) > 100
    assert len(missed) <= 2
    assert {fact.reason for fact in missed} == {"no worker was up"}
