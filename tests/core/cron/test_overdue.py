"""Entries are overdue if a tick has passed without a record."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.cron import CronEntry, CronOptions
from aioq.cron.definition import define
from aioq.cron.entry import due_at
from aioq.cron.misfire import overdue
from aioq.cron.schedule import Schedule
from aioq.model.cron import CronStatus, Pause, TickRecord, TickStatus
from tests.core.plain_scheduler import EverySeconds
from tests.times import Listed, at, listed


def entry(schedule: Schedule | None = None, **options: Any) -> CronEntry:
    """Return an entry, with a tick every 5 minutes when no schedule is given."""
    return CronEntry(
        name="entry",
        function=print,
        schedule=schedule or EverySeconds(300),
        expression="every 300",
        options=CronOptions(**options),
    )


def status(one: CronEntry, *, armed: float = 0, last: float | None = None, **more: Any) -> CronStatus:
    """Return what a ledger knows; moments are in seconds after nine."""
    record = TickRecord(name=one.name, queue=one.queue, tick=at(last or 0).timestamp(), status=TickStatus.OK)
    return CronStatus(
        definition=define(one),
        app="app",
        armed_at=at(armed).timestamp(),
        last=None if last is None else record,
        **more,
    )


def test_overdue_starts_after_grace() -> None:
    """A tick is overdue when its grace is over, and not before."""
    one = entry(grace=60)
    assert overdue(one, status(one, last=300), at(660)) is None
    assert overdue(one, status(one, last=300), at(660.001)) == at(600)


def test_overdue_starts_after_jitter() -> None:
    """The grace begins when the tick was to fire."""
    one = entry(grace=60, jitter=100)
    last_moment = due_at(one, at(600)) + timedelta(seconds=60)
    assert overdue(one, status(one, last=300), last_moment) is None
    assert overdue(one, status(one, last=300), last_moment + timedelta(microseconds=1)) == at(600)


def test_overdue_returns_oldest_tick() -> None:
    """So that one sees since when nothing happens."""
    one = entry()
    assert overdue(one, status(one, last=300), at(36_000)) == at(600)


def test_overdue_counts_from_arming() -> None:
    """The tick at that very moment is not owed."""
    one = entry()
    assert overdue(one, status(one, armed=300), at(660)) is None
    assert overdue(one, status(one, armed=300), at(661)) == at(600)


def test_overdue_ignores_records_before_arming() -> None:
    """Resuming an entry, or changing its schedule, begins anew."""
    one = entry()
    assert overdue(one, status(one, armed=3_000, last=300), at(3_300)) is None


def test_overdue_counts_from_last_tick() -> None:
    """A worker has claimed the tick."""
    one = entry()
    assert overdue(one, status(one, last=300, last_tick=at(600).timestamp()), at(661)) is None
    assert overdue(one, status(one, last=300, last_tick=at(600).timestamp()), at(961)) == at(900)


PAUSE = Pause(note="maintenance", by="me", at=0.0)


@pytest.mark.parametrize("more", [{"pause": PAUSE}, {"retired_at": 5.0}], ids=["paused", "retired"])
def test_overdue_paused_or_retired_entry_is_not(more: dict[str, Any]) -> None:
    """A paused or retired entry has no overdue ticks."""
    one = entry()
    assert overdue(one, status(one, **more), at(36_000)) is None


def test_overdue_disabled_entry_is_not() -> None:
    """The code wants it so."""
    one = entry(enabled=False)
    assert overdue(one, status(one), at(36_000)) is None


def test_overdue_entry_with_other_schedule_is_not() -> None:
    """Its workers go by that one still."""
    one = entry()
    old = status(one)
    old = msgspec.structs.replace(old, definition=msgspec.structs.replace(old.definition, fingerprint="every 7 [UTC]"))
    assert overdue(one, old, at(36_000)) is None


def test_overdue_ended_schedule_is_not() -> None:
    """There is no tick to wait for."""
    one = entry(Listed((at(0), at(300))))
    assert overdue(one, status(one, last=300), at(36_000)) is None


@given(listed(), st.integers(0, 20_000), st.integers(0, 59), st.integers(0, 20_000))
def test_overdue_equals_tick_without_record(schedule: Listed, armed: int, last: int, now: int) -> None:
    """The first one after it was armed, after what is recorded, and with its grace behind it."""
    one = entry(schedule, grace=60, jitter=20)
    recorded = schedule.ticks[last % len(schedule.ticks)]
    known = status(one, armed=armed, last=(recorded - at(0)).total_seconds())
    silent = [tick for tick in schedule.ticks if tick > max(recorded, at(armed)) and _over(one, tick, at(now))]
    assert overdue(one, known, at(now)) == (silent[0] if silent else None)


def _over(one: CronEntry, tick: datetime, now: datetime) -> bool:
    return now > due_at(one, tick) + timedelta(seconds=60)
