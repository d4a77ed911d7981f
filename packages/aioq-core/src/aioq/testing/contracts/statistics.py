"""Tests `aioq.protocols.Statistics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from aioq.conformance import lacking
from aioq.model.statistics import BUCKETS, MAX_SERIES, OTHERS, Count, JobOutcome, Step, oldest_period, period_of
from aioq.protocols import Broker, Statistics
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["StatisticsContract"]

ONE_WAIT = (1,) + (0,) * len(BUCKETS)


class StatisticsContract(BrokerSuite):
    """The suite for `aioq.protocols.Statistics`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def statistics(self, broker: Broker) -> Statistics:
        """The broker, as one that counts jobs."""
        assert isinstance(broker, Statistics), f"it lacks {lacking(broker, Statistics)}"
        return broker

    @staticmethod
    def count(start: float, **changes: Any) -> Count:
        """Return a count of one completed job in the minute of a moment."""
        one = Count(
            queue="q", task="tasks.work", outcome=JobOutcome.COMPLETED, start=period_of(start, Step.MINUTE), count=1
        )
        return structs.replace(one, **changes)

    async def read(self, statistics: Statistics, step: Step = Step.HOUR, **changes: Any) -> list[Count]:
        """Return the counts of all periods, those ahead of the clock included."""
        span: dict[str, Any] = {"start": 0.0, "end": await self.within_minute(statistics) + 7200}
        return await statistics.read_counts(step=step, **{**span, **changes})

    async def within_minute(self, statistics: Statistics) -> float:
        """Return the broker's clock, once the minute has some seconds left: tests count within one."""
        assert isinstance(statistics, Broker)
        while (now := await statistics.time()) % Step.MINUTE > Step.MINUTE - 5:
            await self.pass_time(1.0)
        return now

    async def test_add_counts_sums_minutes_and_hours(self, statistics: Statistics) -> None:
        """Counts and sums of a minute and of an hour add up, and the hour has histograms, too."""
        now = await self.within_minute(statistics)
        full = tuple(range(1, len(BUCKETS) + 2))
        count = self.count(now, count=3, wait=1.25, duration=0.5, waits=full, durations=ONE_WAIT)
        await statistics.add_counts([count], reporter="a", number=1)
        await statistics.add_counts([count], reporter="b", number=1)
        assert await self.read(statistics, Step.MINUTE) == [self.count(now, count=6, wait=2.5, duration=1.0)]
        (hour,) = await self.read(statistics, Step.HOUR)
        assert (hour.start, hour.count, hour.wait, hour.duration) == (period_of(now, Step.HOUR), 6, 2.5, 1.0)
        assert hour.waits == tuple(2 * number for number in full)
        assert hour.durations == tuple(2 * number for number in ONE_WAIT)

    async def test_add_counts_large_numbers_are_exact(self, statistics: Statistics) -> None:
        """A billion jobs in one bucket, and a year of waiting, are added without loss."""
        now = await self.within_minute(statistics)
        many = self.count(now, count=10**9, wait=3.2e7, duration=0.0004, waits=(10**9, *ONE_WAIT[1:]), durations=(0, 7))
        for number in (1, 2):
            await statistics.add_counts([many], reporter="a", number=number)
        (hour,) = await self.read(statistics)
        assert (hour.count, hour.wait, hour.duration) == (2 * 10**9, 6.4e7, 0.0008)
        assert (hour.waits[0], hour.durations[:2]) == (2 * 10**9, (0, 14))

    async def test_add_counts_repeated_report_is_counted_once(self, statistics: Statistics, peer: Broker) -> None:
        """A report that comes again, or after a later one of its reporter, changes nothing; that of another does."""
        assert isinstance(peer, Statistics)
        now = await self.within_minute(statistics)
        counts = [self.count(now)]
        for number in (1, 1, 2, 1, 2):
            await statistics.add_counts(counts, reporter="a", number=number)
        await peer.add_counts(counts, reporter="a", number=2)
        await peer.add_counts(counts, reporter="b", number=1)
        assert [count.count for count in await self.read(statistics)] == [3]

    async def test_add_counts_returns_clock(self, statistics: Statistics) -> None:
        """The answer is the broker's clock, also to a repeated report."""
        before = await self.within_minute(statistics)
        first = await statistics.add_counts([self.count(before)], reporter="a", number=1)
        again = await statistics.add_counts([self.count(before)], reporter="a", number=1)
        assert isinstance(statistics, Broker)
        assert before - 0.01 <= first <= again <= await statistics.time() + 0.01

    async def test_add_counts_late_report_reaches_its_periods(self, statistics: Statistics) -> None:
        """Counts of earlier minutes and hours are added to those, in any order of reports."""
        now = await self.within_minute(statistics)
        ago = [0, 130 * 60, 60, 5 * 3600, 29 * 86_400, 60, 0]
        for number, seconds in enumerate(ago, 1):
            await statistics.add_counts([self.count(now - seconds)], reporter="a", number=number)
        minutes = await self.read(statistics, Step.MINUTE)
        expected = {period_of(now - 130 * 60, Step.MINUTE): 1, period_of(now - 60, Step.MINUTE): 2}
        assert {count.start: count.count for count in minutes} == {**expected, period_of(now, Step.MINUTE): 2}
        hours = [period_of(now - seconds, Step.HOUR) for seconds in ago]
        found = await self.read(statistics, Step.HOUR)
        assert {count.start: count.count for count in found} == {hour: hours.count(hour) for hour in hours}

    async def test_add_counts_other_clock_stays_in_bounds(self, statistics: Statistics) -> None:
        """A count ahead of the broker's clock is one of now, and one that is too old is left out."""
        now = await self.within_minute(statistics)
        moments = [
            now + 86_400,
            now - 40 * 86_400,
            oldest_period(Step.HOUR, now) - 60,
            oldest_period(Step.MINUTE, now) - 60,
        ]
        await statistics.add_counts([self.count(moment) for moment in moments], reporter="a", number=1)
        assert [count.start for count in await self.read(statistics, Step.MINUTE)] == [period_of(now, Step.MINUTE)]
        expected = {period_of(now, Step.HOUR), period_of(moments[3], Step.HOUR)}
        assert {count.start for count in await self.read(statistics, Step.HOUR)} == expected

    async def test_read_counts_filters_and_sorts(self, statistics: Statistics) -> None:
        """The answer has the chosen queue, task and span, sorted by series and start."""
        now = await self.within_minute(statistics)
        counts = [
            self.count(now - ago, queue=queue, task=task, outcome=outcome)
            for queue in ("q", "b.c")
            for task in ("tasks.work", "a:b task.\u00e9")
            for outcome in (JobOutcome.FAILED, JobOutcome.COMPLETED)
            for ago in (0, 3600)
        ]
        await statistics.add_counts(counts, reporter="a", number=1)
        ordered = sorted(counts, key=lambda count: (count.series, count.start))
        assert await self.read(statistics, Step.MINUTE) == ordered
        assert await self.read(statistics, Step.MINUTE, queue="b.c") == [one for one in ordered if one.queue == "b.c"]
        named = await self.read(statistics, Step.MINUTE, task="tasks.work", queue="q")
        assert named == [one for one in ordered if one.series[:2] == ("q", "tasks.work")]
        early, late = period_of(now - 3600, Step.MINUTE), period_of(now, Step.MINUTE)
        span = await self.read(statistics, Step.MINUTE, start=early, end=late)
        assert span == [one for one in ordered if one.start == early]
        assert await self.read(statistics, Step.MINUTE, start=early + 1, end=late) == []
        assert await self.read(statistics, Step.MINUTE, queue="other") == []

    async def test_read_counts_periods_end_with_time(self, statistics: Statistics) -> None:
        """A minute is gone after 3 hours, and an hour after 30 days, whether or not something else is counted."""
        now = await self.within_minute(statistics)
        await statistics.add_counts([self.count(now)], reporter="a", number=1)
        if not self.virtual_time:
            return
        await self.pass_long(2.9 * 3600)
        assert len(await self.read(statistics, Step.MINUTE)) == 1
        await self.pass_long(0.2 * 3600)
        assert (await self.read(statistics, Step.MINUTE), len(await self.read(statistics))) == ([], 1)
        await self.pass_long(30 * 86_400)
        assert await self.read(statistics) == []

    async def test_add_counts_series_are_bounded(self, statistics: Statistics) -> None:
        """Series beyond the limit are counted together, by outcome; those that have room go on."""
        now = await self.within_minute(statistics)
        names = [f"tasks.{number}" for number in range(MAX_SERIES + 10)]
        await self.add_all(statistics, [self.count(now, task=name) for name in names], "a")
        others = self.count(now, task="one.more", outcome=JobOutcome.DEAD)
        await statistics.add_counts([others, self.count(now, task=names[0])], reporter="b", number=1)
        found = {count.series: count.count for count in await self.read(statistics, Step.MINUTE)}
        assert len(found) == MAX_SERIES + 2
        assert found[self.count(now, queue=OTHERS, task=OTHERS).series] == 10
        assert found[structs.replace(others, queue=OTHERS, task=OTHERS).series] == 1
        assert found[self.count(now, task=names[0]).series] == 2

    async def add_all(self, statistics: Statistics, counts: Sequence[Count], reporter: str) -> None:
        """Report counts, 100 at a time."""
        for first in range(0, len(counts), 100):
            await statistics.add_counts(counts[first : first + 100], reporter=reporter, number=first + 1)
