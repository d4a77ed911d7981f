"""Of ticks that have come due: which are fired, and what is said of the others."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aioq.cron import CronEntry, CronOptions, Misfire
from aioq.cron.jitter import due
from aioq.cron.misfire import MOST_COUNTED, MOST_MADE_UP, Left, Verdict, judge, unfired
from aioq.cron.schedule import Schedule
from aioq.model.cron import TickReason, TickStatus
from tests.core.plain_scheduler import EverySeconds
from tests.times import Listed, at, listed

MISSED, SKIPPED = TickStatus.MISSED, TickStatus.SKIPPED


def entry(schedule: Schedule, **options: Any) -> CronEntry:
    """Return an entry that is never called."""
    return CronEntry(name="entry", function=print, schedule=schedule, options=CronOptions(**options))


def minutely(**options: Any) -> CronEntry:
    """Return an entry with a tick every minute."""
    return entry(EverySeconds(60), **options)


def left(last: datetime, count: int, status: TickStatus, reason: TickReason) -> Left:
    """Return what is said of ticks that are not fired."""
    return Left(last=last, count=count, status=status, reason=reason)


@pytest.mark.parametrize("misfire", ["once", "skip", "all"])
def test_a_tick_that_is_in_time_fires(misfire: Misfire) -> None:
    """Whatever the policy, and nothing else is said of it."""
    assert judge(minutely(misfire=misfire), at(0), at(0), at(0.01)) == Verdict(fire=(at(0),))


def test_once_fires_the_newest() -> None:
    """However late it is; the others give way to it."""
    verdict = judge(minutely(), at(0), at(540), at(3599))
    assert verdict == Verdict(fire=(at(540),), left=(left(at(480), 9, SKIPPED, TickReason.COALESCED),))


def test_skip_fires_the_newest_while_it_is_in_time() -> None:
    """Those before it that were in time give way to it, and the others came too late."""
    verdict = judge(minutely(misfire="skip", grace=100), at(0), at(180), at(190))
    skipped = (left(at(60), 2, SKIPPED, TickReason.TOO_LATE), left(at(120), 1, SKIPPED, TickReason.COALESCED))
    assert verdict == Verdict(fire=(at(180),), left=skipped)


def test_skip_fires_nothing_that_is_late() -> None:
    """The grace has its end."""
    verdict = judge(minutely(misfire="skip"), at(0), at(120), at(180.001))
    assert verdict == Verdict(fire=(), left=(left(at(120), 3, SKIPPED, TickReason.TOO_LATE),))


def test_the_grace_ends_with_its_last_moment() -> None:
    """A tick that is as late as the grace is long fires."""
    assert judge(minutely(misfire="skip"), at(0), at(0), at(60)).fire == (at(0),)
    assert judge(minutely(misfire="skip"), at(0), at(0), at(60.000001)).fire == ()


def test_all_fires_each() -> None:
    """The oldest first."""
    assert judge(minutely(misfire="all"), at(0), at(180), at(3600)) == Verdict(fire=(at(0), at(60), at(120), at(180)))


def test_all_has_a_limit() -> None:
    """Of more than a thousand the newest thousand are fired."""
    verdict = judge(minutely(misfire="all"), at(0), at(60_300), at(60_301))
    assert (len(verdict.fire), verdict.fire[0], verdict.fire[-1]) == (1_000, at(360), at(60_300))
    assert verdict.left == (left(at(300), 6, MISSED, TickReason.TOO_MANY),)


@pytest.mark.parametrize(("misfire", "fired"), [("once", [360]), ("skip", []), ("all", [240, 300, 360])])
def test_what_is_older_than_catchup_is_missed(misfire: Misfire, fired: list[float]) -> None:
    """The policy is for the ticks since then."""
    verdict = judge(minutely(misfire=misfire, catchup=200), at(0), at(360), at(440))
    assert verdict.fire == tuple(map(at, fired))
    assert verdict.left[0] == left(at(180), 4, MISSED, TickReason.TOO_OLD)


def test_nothing_is_made_up_for_when_all_is_older_than_catchup() -> None:
    """Not even the newest, once its grace is over."""
    verdict = judge(minutely(catchup=0), at(0), at(60), at(121))
    assert verdict == Verdict(fire=(), left=(left(at(60), 2, MISSED, TickReason.TOO_OLD),))


def test_what_is_in_time_needs_no_catchup() -> None:
    """With a catchup of nothing the newest still has its grace."""
    verdict = judge(minutely(catchup=0, misfire="all"), at(0), at(60), at(120))
    assert verdict == Verdict(fire=(at(60),), left=(left(at(0), 1, MISSED, TickReason.TOO_OLD),))


def test_a_tick_is_late_from_its_jitter_on() -> None:
    """What was put off by half a minute may fire half a minute later."""
    jittered = minutely(misfire="skip", jitter=59)
    last_moment = due(jittered, at(0)) + timedelta(seconds=60)
    assert at(60) < last_moment < at(119)
    assert judge(jittered, at(0), at(0), last_moment).fire == (at(0),)
    assert judge(jittered, at(0), at(0), last_moment + timedelta(microseconds=1)).fire == ()


def test_ticks_without_number_are_counted_up_to_a_point() -> None:
    """Years of seconds are judged in few steps, and the last of them is known nevertheless."""
    asked = 0

    class Counting(EverySeconds):
        def next_after(self, instant: datetime) -> datetime | None:
            nonlocal asked
            asked += 1
            return super().next_after(instant)

    newest = at(100_000_000)
    verdict = judge(entry(Counting(1), misfire="all"), at(0), newest, newest)
    assert verdict.fire == tuple(newest - timedelta(seconds=back) for back in reversed(range(1_000)))
    assert verdict.left == (left(newest - timedelta(seconds=1_000), MOST_COUNTED, MISSED, TickReason.TOO_MANY),)
    assert asked < 40_000


def test_the_newest_thousand_are_found_where_ticks_are_uneven() -> None:
    """Many in a short time, then few in a long one."""
    ticks = tuple(map(at, [*range(3_000), *range(10_000, 20_000, 1_000)]))
    verdict = judge(entry(Listed(ticks), misfire="all"), ticks[0], ticks[-1], ticks[-1])
    assert verdict.fire == ticks[-1_000:]
    assert [(group.last, group.count) for group in verdict.left] == [(ticks[-1_001], MOST_COUNTED)]


options = st.fixed_dictionaries(
    {
        "misfire": st.sampled_from(["once", "skip", "all"]),
        "grace": st.sampled_from([1, 60, 500]),
        "catchup": st.sampled_from([None, 0, 1, 100, 4_000, 50_000]),
        "jitter": st.sampled_from([0, 0, 1, 45, 3_000]),
    }
)


def expected(one: CronEntry, ticks: tuple[datetime, ...], now: datetime) -> dict[datetime, str]:
    """Say of each tick what becomes of it, one by one and as slowly as can be."""
    late = {tick: now - due(one, tick) for tick in ticks}
    grace, catchup = timedelta(seconds=one.options.grace), one.options.catchup
    newest, fate = ticks[-1], dict[datetime, str]()
    for tick in ticks:
        newer = len(ticks) - 1 - ticks.index(tick)
        in_time = tick == newest and late[tick] <= grace
        if catchup is not None and late[tick] > timedelta(seconds=catchup) and not in_time:
            fate[tick] = "missed: older than catchup"
        elif one.options.misfire == "skip" and late[tick] > grace:
            fate[tick] = "skipped: too late"
        elif one.options.misfire != "all" and tick != newest:
            fate[tick] = "skipped: coalesced"
        elif newer >= MOST_MADE_UP:
            fate[tick] = "missed: more than 1,000 to make up for"
        else:
            fate[tick] = "fired"
    return fate


def told(verdict: Verdict, ticks: tuple[datetime, ...]) -> list[tuple[datetime, str]]:
    """Return what a verdict says of each tick, in its order."""
    index, fates = 0, list[tuple[datetime, str]]()
    for group in verdict.left:
        end = ticks.index(group.last) + 1
        row = ticks[index:end]
        assert group.count == min(len(row), MOST_COUNTED)
        index = end
        fates += [(tick, f"{group.status}: {group.reason}") for tick in row]
    return fates + [(tick, "fired") for tick in verdict.fire]


@given(listed(), options, st.integers(0, 6_000), st.data())
def test_every_tick_is_accounted_for_once(schedule: Listed, said: Any, late: int, data: st.DataObject) -> None:
    """Oldest first, and each with the fate that its own age gives it."""
    one = entry(schedule, **said)
    first = data.draw(st.integers(0, len(schedule.ticks) - 1))
    ticks = schedule.ticks[first : data.draw(st.integers(first + 1, len(schedule.ticks)))]
    now = ticks[-1] + timedelta(seconds=late)
    verdict = judge(one, ticks[0], ticks[-1], now)
    assert told(verdict, ticks) == list(expected(one, ticks, now).items())


@settings(max_examples=30)
@given(listed(most=9_000), options, st.integers(0, 6_000))
def test_long_lists_are_treated_like_short_ones(schedule: Listed, said: Any, late: int) -> None:
    """What is fired is in order, at most a thousand, none older than its catchup, and nothing is counted twice."""
    assume(len(schedule.ticks) > 500)
    one, newest = entry(schedule, **said), schedule.ticks[-1]
    now = newest + timedelta(seconds=late)
    verdict = judge(one, schedule.ticks[0], newest, now)
    ages = [now - due(one, tick) for tick in verdict.fire]
    assert len(ages) <= MOST_MADE_UP
    assert all(earlier > later for earlier, later in pairwise(ages))
    if one.options.catchup is not None:
        assert all(age <= timedelta(seconds=one.options.catchup) for age in ages[:-1])
    assert [tick for tick, _ in told(verdict, schedule.ticks)] == list(schedule.ticks)


def test_the_winner_owns_what_nobody_fired() -> None:
    """All ticks after the one that was settled before, up to its own."""
    assert unfired(minutely(), at(0), [at(300), at(360)]) == (left(at(240), 4, MISSED, TickReason.NO_WORKER),)


@pytest.mark.parametrize(
    ("previous", "fired"),
    [(None, [at(300)]), (at(240), [at(300)]), (at(270), [at(300)]), (at(0), [])],
    ids=["first sight", "the tick before", "after the tick before", "nothing won"],
)
def test_the_winner_may_owe_nothing(previous: datetime | None, fired: list[datetime]) -> None:
    """Of before an entry was known, and between ticks that follow each other, there is nothing to tell."""
    assert unfired(minutely(), previous, fired) == ()


@given(listed(), st.data())
def test_unfired_ticks_are_counted_exactly(schedule: Listed, data: st.DataObject) -> None:
    """Neither the one that was settled nor the one that is fired is among them."""
    ticks = schedule.ticks
    won = data.draw(st.integers(0, len(ticks) - 1))
    previous = data.draw(st.integers(0, won))
    between = ticks[previous + 1 : won]
    groups = unfired(entry(schedule), ticks[previous], ticks[won:])
    assert [(group.last, group.count) for group in groups] == ([(between[-1], len(between))] if between else [])


def test_unfired_ticks_without_number_are_counted_up_to_a_point() -> None:
    """Of more than that the last is known."""
    (group,) = unfired(entry(EverySeconds(1)), at(0), [at(10_000_000)])
    assert (group.last, group.count) == (at(9_999_999), MOST_COUNTED)
