"""Defines the optional protocol of a broker that counts jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aioq.model.statistics import Count, Step

__all__ = ["Statistics"]


@runtime_checkable
class Statistics(Protocol):
    """A broker that keeps counts of jobs by queue, task and outcome, for each minute and each hour.

    It keeps the latest `Step.kept` periods of each step. `aioq.model.statistics` has the outcomes, the buckets of the
    histograms, and the limits.
    """

    async def add_counts(self, counts: Sequence[Count], *, reporter: str, number: int) -> float:
        """Add what a process has counted to the minutes and the hours; return the broker's clock.

        1. A reporter makes one report after the other, with ascending numbers. A report whose number is not greater
           than that of the reporter's latest one was counted, and is not counted again. The broker remembers that for
           at least `REPEATABLE` seconds.
        2. A count belongs to the minute and the hour of its `start`. If that lies ahead of the broker's clock, it
           belongs to the running ones. It is left out of periods that are no longer kept.
        3. Histograms are added to hours only.
        4. A namespace has at most `MAX_SERIES` series that were counted within the latest 30 days. The counts of
           further ones, whose outcome stays, go to the queue and the task `OTHERS`, which have room in any case.

        Args:
            counts: At most 100. The start of each is that of a minute.
            reporter: An id that no other process uses, of at most 64 printable characters without blanks.
            number: The number of the report, from 1.

        Raises:
            BrokerFull: There is no memory; nothing was counted.
        """
        ...

    async def read_counts(
        self, *, step: Step, start: float, end: float, queue: str | None = None, task: str | None = None
    ) -> list[Count]:
        """Return the counts of the periods that begin at or after `start` and before `end`, sorted by series and start.

        Periods in which nothing was counted are left out. Sums are rounded to 0.1 ms. Counts of minutes have no
        histograms.

        Args:
            step: The length of the periods.
            start: The earliest start of a period.
            end: Periods that begin at or after it are left out.
            queue: Only counts of this queue; of all when None.
            task: Only counts of this task; of all when None.
        """
        ...
