"""Decisions about ticks that have come due: which of them fire, and the reasons of the others."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aioq.cron import CronEntry, CronOptions, Misfire
from aioq.cron.entry import due_at
from aioq.cron.misfire import MAX_COUNTED, MAX_FIRED, Decision, NotFired, decide, unclaimed
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


def group(first: datetime, last: datetime, count: int, status: TickStatus, reason: TickReason) -> NotFired:
    """Return ticks that do not fire."""
    return NotFired(first=first, last=last, count=count, status=status, reason=reason)


@pytest.mark.parametrize("misfire", ["once", "skip", "all"])
def test_decide_fires_tick_in_time(misfire: Misfire) -> None:
    """The tick fires whatever the policy is."""
    assert decide(minutely(misfire=misfire), at(0), at(0), at(0.01)) == Decision(fire=(at(0),))


def test_decide_once_fires_newest() -> None:
    """However late it is; the others give way to it."""
    decision = decide(minutely(), at(0), at(540), at(3599))
    assert decision == Decision(fire=(at(540),), not_fired=(group(at(0), at(480), 9, SKIPPED, TickReason.COALESCED),))


def test_decide_skip_fires_newest_in_time() -> None:
    """Those before it that were in time give way to it, and the others came too late."""
    decision = decide(minutely(misfire="skip", grace=100), at(0), at(180), at(190))
    skipped = (
        group(at(0), at(60), 2, SKIPPED, TickReason.TOO_LATE),
        group(at(120), at(120), 1, SKIPPED, TickReason.COALESCED),
    )
    assert decision == Decision(fire=(at(180),), not_fired=skipped)


def test_decide_skip_fires_no_late_tick() -> None:
    """The grace has its end."""
    decision = decide(minutely(misfire="skip"), at(0), at(120), at(180.001))
    assert decision == Decision(fire=(), not_fired=(group(at(0), at(120), 3, SKIPPED, TickReason.TOO_LATE),))


def test_decide_grace_includes_its_last_moment() -> None:
    """A tick that is as late as the grace is long fires."""
    assert decide(minutely(misfire="skip"), at(0), at(0), at(60)).fire == (at(0),)
    assert decide(minutely(misfire="skip"), at(0), at(0), at(60.000001)).fire == ()


def test_decide_all_fires_each() -> None:
    """The oldest first."""
    assert decide(minutely(misfire="all"), at(0), at(180), at(3600)) == Decision(fire=(at(0), at(60), at(120), at(180)))


def test_decide_all_fires_newest_thousand() -> None:
    """Of more than a thousand the newest thousand are fired."""
    decision = decide(minutely(misfire="all"), at(0), at(60_300), at(60_301))
    assert (len(decision.fire), decision.fire[0], decision.fire[-1]) == (1_000, at(360), at(60_300))
    assert decision.not_fired == (group(at(0), at(300), 6, MISSED, TickReason.TOO_MANY),)


@pytest.mark.parametrize(("misfire", "fired"), [("once", [360]), ("skip", []), ("all", [240, 300, 360])])
def test_decide_misses_ticks_older_than_catchup(misfire: Misfire, fired: list[float]) -> None:
    """The policy is for the ticks since then."""
    decision = decide(minutely(misfire=misfire, catchup=200), at(0), at(360), at(440))
    assert decision.fire == tuple(map(at, fired))
    assert decision.not_fired[0] == group(at(0), at(180), 4, MISSED, TickReason.TOO_OLD)


def test_decide_fires_nothing_if_all_is_older_than_catchup() -> None:
    """Not even the newest, once its grace is over."""
    decision = decide(minutely(catchup=0), at(0), at(60), at(121))
    assert decision == Decision(fire=(), not_fired=(group(at(0), at(60), 2, MISSED, TickReason.TOO_OLD),))


def test_decide_in_time_needs_no_catchup() -> None:
    """With a catchup of nothing the newest still has its grace."""
    decision = decide(minutely(catchup=0, misfire="all"), at(0), at(60), at(120))
    assert decision == Decision(fire=(at(60),), not_fired=(group(at(0), at(0), 1, MISSED, TickReason.TOO_OLD),))


def test_decide_counts_lateness_after_jitter() -> None:
    """What was put off by half a minute may fire half a minute later."""
    jittered = minutely(misfire="skip", jitter=59)
    last_moment = due_at(jittered, at(0)) + timedelta(seconds=60)
    assert at(60) < last_moment < at(119)
    assert decide(jittered, at(0), at(0), last_moment).fire == (at(0),)
    assert decide(jittered, at(0), at(0), last_moment + timedelta(microseconds=1)).fire == ()


def test_decide_counts_up_to_limit() -> None:
    """Years of seconds are judged in few steps, and the last of them is known nevertheless."""
    asked = 0

    class Counting(EverySeconds):
        def next_after(self, instant: datetime) -> datetime | None:
            nonlocal asked
            asked += 1
            return super().next_after(instant)

    newest = at(100_000_000)
    decision = decide(entry(Counting(1), misfire="all"), at(0), newest, newest)
    assert decision.fire == tuple(newest - timedelta(seconds=back) for back in reversed(range(1_000)))
    assert decision.not_fired == (
        group(at(0), newest - timedelta(seconds=1_000), MAX_COUNTED, MISSED, TickReason.TOO_MANY),
    )
    assert asked < 40_000


def test_decide_all_finds_newest_of_uneven_ticks() -> None:
    """Many in a short time, then few in a long one."""
    ticks = tuple(map(at, [*range(3_000), *range(10_000, 20_000, 1_000)]))
    decision = decide(entry(Listed(ticks), misfire="all"), ticks[0], ticks[-1], ticks[-1])
    assert decision.fire == ticks[-1_000:]
    assert [(one.last, one.count) for one in decision.not_fired] == [(ticks[-1_001], MAX_COUNTED)]


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
    late = {tick: now - due_at(one, tick) for tick in ticks}
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
        elif newer >= MAX_FIRED:
            fate[tick] = "missed: more than 1,000 to make up for"
        else:
            fate[tick] = "fired"
    return fate


def told(decision: Decision, ticks: tuple[datetime, ...]) -> list[tuple[datetime, str]]:
    """Return what a decision says of each tick, in its order."""
    index, fates = 0, list[tuple[datetime, str]]()
    for one in decision.not_fired:
        end = ticks.index(one.last) + 1
        row = ticks[index:end]
        assert (one.first, one.count) == (row[0], min(len(row), MAX_COUNTED))
        index = end
        fates += [(tick, f"{one.status}: {one.reason}") for tick in row]
    return fates + [(tick, "fired") for tick in decision.fire]


@given(listed(), options, st.integers(0, 6_000), st.data())
def test_decide_accounts_for_each_tick_once(schedule: Listed, said: Any, late: int, data: st.DataObject) -> None:
    """Oldest first, and each with the fate that its own age gives it."""
    one = entry(schedule, **said)
    first = data.draw(st.integers(0, len(schedule.ticks) - 1))
    ticks = schedule.ticks[first : data.draw(st.integers(first + 1, len(schedule.ticks)))]
    now = ticks[-1] + timedelta(seconds=late)
    decision = decide(one, ticks[0], ticks[-1], now)
    assert told(decision, ticks) == list(expected(one, ticks, now).items())


@settings(max_examples=30)
@given(listed(most=9_000), options, st.integers(0, 6_000))
def test_decide_treats_long_lists_like_short_ones(schedule: Listed, said: Any, late: int) -> None:
    """What is fired is in order, at most a thousand, none older than its catchup, and nothing is counted twice."""
    assume(len(schedule.ticks) > 500)
    one, newest = entry(schedule, **said), schedule.ticks[-1]
    now = newest + timedelta(seconds=late)
    decision = decide(one, schedule.ticks[0], newest, now)
    ages = [now - due_at(one, tick) for tick in decision.fire]
    assert len(ages) <= MAX_FIRED
    assert all(earlier > later for earlier, later in pairwise(ages))
    if one.options.catchup is not None:
        assert all(age <= timedelta(seconds=one.options.catchup) for age in ages[:-1])
    assert [tick for tick, _ in told(decision, schedule.ticks)] == list(schedule.ticks)


@given(listed(), options, st.integers(0, 6_000), st.data())
def test_not_fired_after_a_moment_equals_a_later_decision(
    schedule: Listed, said: Any, late: int, data: st.DataObject
) -> None:
    """A decision about ticks, without those up to a moment, is the decision about the ticks after it."""
    one = entry(schedule, **said)
    moment = data.draw(st.integers(0, len(schedule.ticks) - 1))
    now = schedule.ticks[-1] + timedelta(seconds=late)
    whole = decide(one, schedule.ticks[0], schedule.ticks[-1], now)
    rest = schedule.ticks[moment + 1 :]
    expected = decide(one, rest[0], rest[-1], now).not_fired if rest else ()
    assert whole.not_fired_after(one, schedule.ticks[moment]) == expected


@settings(max_examples=30)
@given(listed(most=4_000), options, st.data())
def test_not_fired_after_a_moment_counts_long_lists(schedule: Listed, said: Any, data: st.DataObject) -> None:
    """The count of a group that is divided is that of the rest, also beyond the number that is counted."""
    one, ticks = entry(schedule, **said), schedule.ticks
    assume(len(ticks) > 500)
    moment = data.draw(st.integers(0, len(ticks) - 2))
    whole = decide(one, ticks[0], ticks[-1], ticks[-1])
    later = decide(one, ticks[moment + 1], ticks[-1], ticks[-1])
    assert whole.not_fired_after(one, ticks[moment]) == later.not_fired


def test_unclaimed_ticks_lie_between_two_claims() -> None:
    """All ticks after the one that was decided before, and before the first of this claim."""
    expected = (group(at(60), at(240), 4, MISSED, TickReason.NO_WORKER),)
    assert unclaimed(minutely(), at(0), at(300)) == expected


@pytest.mark.parametrize("previous", [240, 270, 300, 360], ids=["tick before", "since then", "itself", "later"])
def test_unclaimed_ticks_of_adjacent_claims_are_none(previous: float) -> None:
    """Between two ticks that follow each other there is nothing to record."""
    assert unclaimed(minutely(), at(previous), at(300)) == ()


@given(listed(), st.data())
def test_unclaimed_ticks_are_counted_exactly(schedule: Listed, data: st.DataObject) -> None:
    """Neither the one that was decided nor the one that is claimed is among them."""
    ticks = schedule.ticks
    won = data.draw(st.integers(0, len(ticks) - 1))
    previous = data.draw(st.integers(0, won))
    between = ticks[previous + 1 : won]
    groups = unclaimed(entry(schedule), ticks[previous], ticks[won])
    assert [(one.last, one.count) for one in groups] == ([(between[-1], len(between))] if between else [])


def test_unclaimed_ticks_are_counted_up_to_a_limit() -> None:
    """Of more ticks the last is known, and a lower bound of their number."""
    (one,) = unclaimed(entry(EverySeconds(1)), at(0), at(10_000_000))
    assert (one.last, one.count) == (at(9_999_999), MAX_COUNTED)
