"""The expressions of the plain scheduler, and a worker that fires them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from aioq_plain import PlainScheduler

from aioq import Aarq, CronContext, DiscoveryError, Worker
from aioq.backends import MemoryBroker
from aioq.cron import upcoming
from aioq.testing import VirtualClock

START = datetime(2026, 3, 28, tzinfo=UTC)


def ticks(expression: str, tz: str, start: datetime = START) -> list[str]:
    """Return the first three ticks, on the clock of the zone."""
    schedule = PlainScheduler().parse(expression, tz=tz)
    return [f"{tick:%d %H:%M}" for tick in upcoming(schedule, start, 3)]


def test_at_is_local_time() -> None:
    """In UTC the tick moves by an hour when daylight saving begins."""
    assert ticks("at 09:30", "Europe/Berlin") == ["28 08:30", "29 07:30", "30 07:30"]


def test_at_in_a_gap_fires_after_it() -> None:
    """02:30 does not exist on the 29th: the tick is at 03:30, which is 01:30 in UTC."""
    assert ticks("at 02:30", "Europe/Berlin") == ["28 01:30", "29 01:30", "30 00:30"]


def test_at_in_a_repeated_hour_fires_once() -> None:
    """On 25 October the first 02:30 fires, and the second does not."""
    assert ticks("at 02:30", "Europe/Berlin", datetime(2026, 10, 24, tzinfo=UTC)) == [
        "24 00:30",
        "25 00:30",
        "26 01:30",
    ]


def test_every_counts_from_a_fixed_moment() -> None:
    """An interval counts from a fixed moment, so that all workers have the same ticks."""
    assert ticks("every 2h", "UTC", START + timedelta(minutes=50)) == ["28 02:00", "28 04:00", "28 06:00"]


@pytest.mark.parametrize("expression", ["every 0m", "every 5", "at 24:00", "at 9:30", "* * * * *", ""])
def test_other_expressions_are_refused(expression: str) -> None:
    """The error shows which expressions are valid."""
    with pytest.raises(ValueError, match="neither like 'every 5m'"):
        PlainScheduler().parse(expression)


def test_app_finds_plain_scheduler_by_name() -> None:
    """The entry point `plain` of the group `aioq.schedulers` is enough for an app."""
    assert isinstance(Aarq("memory://", scheduler="plain").scheduler, PlainScheduler)
    with pytest.raises(DiscoveryError, match=r"installed: .*plain"):
        _ = Aarq("memory://", scheduler="fancy").scheduler


@pytest.mark.anyio
async def test_worker_fires_crons_of_plain_scheduler() -> None:
    """The scheduler that an app names parses and fires its crons."""
    clock = VirtualClock(START.timestamp())
    app = Aarq(MemoryBroker(clock=clock), scheduler="plain")
    seen: list[datetime] = []

    @app.cron("every 2s")
    async def note(ctx: CronContext) -> None:
        seen.append(ctx["scheduled_at"])

    worker = Worker(app, clock=clock, handle_signals=False)
    async with anyio.create_task_group() as tg:
        tg.start_soon(worker.run)
        await clock.advance(5)
        worker.stop()
        await clock.advance(5)
    assert seen == [START + timedelta(seconds=2), START + timedelta(seconds=4)]
