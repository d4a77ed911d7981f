"""Jitter delays each tick by a fixed time."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import mean
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from aioq.cron import CronEntry, CronOptions
from aioq.cron.entry import due_at, jitter_of
from tests.core.plain_scheduler import EverySeconds
from tests.times import Listed, at, listed


def entry(jitter: float, schedule: EverySeconds | Listed, name: str = "entry") -> CronEntry:
    """Return an entry with a jitter."""
    return CronEntry(name=name, function=print, schedule=schedule, options=CronOptions(jitter=jitter))


def offset(one: CronEntry, tick: datetime) -> float:
    """Return the jitter of a tick in seconds."""
    return jitter_of(one, tick).total_seconds()


def test_jitter_of_zero_does_not_call_schedule() -> None:
    """And its schedule is not asked for the next one."""

    class Silent(EverySeconds):
        def next_after(self, instant: datetime) -> datetime | None:
            raise AssertionError

    assert offset(entry(0, Silent(60)), at(0)) == 0.0
    assert due_at(entry(0, Silent(60)), at(0)) == at(0)


def test_jitter_is_equal_in_every_process() -> None:
    """Hash seeds and zones are of no account: workers agree."""
    here = offset(entry(30, EverySeconds(60)), at(0))
    assert offset(entry(30, EverySeconds(60)), at(0).astimezone(ZoneInfo("Asia/Tokyo"))) == here
    code = (
        "from tests.core.cron.test_jitter import *; "
        "print(repr(offset(entry(30, EverySeconds(60)), at(0))))"
    )  # fmt: skip
    for seed in "12":
        there = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert float(there.stdout) == here


def test_jitter_differs_by_name_and_tick() -> None:
    """Entries that are due together are spread, and no entry is last every day."""
    one, other = entry(30, EverySeconds(60)), entry(30, EverySeconds(60), "other")
    assert len({offset(one, at(0)), offset(one, at(60)), offset(other, at(0)), offset(other, at(60))}) == 4


def test_jitter_is_spread_evenly() -> None:
    """Their mean is half the jitter, and they come close to its ends."""
    offsets = [offset(entry(30, EverySeconds(60)), at(60 * tick)) for tick in range(1_000)]
    assert 14 < mean(offsets) < 16
    assert min(offsets) < 0.5
    assert max(offsets) > 29.5


@given(listed(), st.one_of(st.sampled_from([1e-6, 1.0, 86_400.0]), st.floats(0, 86_400)))
def test_jitter_keeps_ticks_in_order(schedule: Listed, jitter: float) -> None:
    """No tick is put off to the moment of the following one, nor by the whole jitter."""
    one = entry(jitter, schedule)
    for tick in schedule.ticks:
        assert 0 <= offset(one, tick) < max(jitter, 1e-6)
        assert due_at(one, tick) == tick + timedelta(seconds=offset(one, tick))
    assert all(due_at(one, tick) < following for tick, following in pairwise(schedule.ticks))


def test_jitter_applies_to_last_tick() -> None:
    """Nothing follows that it could run into."""
    assert 0 < offset(entry(30, Listed((at(0),))), at(0)) < 30
