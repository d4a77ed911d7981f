"""Adds and reads the counts of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.ids import check_name
from aioq.model.statistics import (
    BUCKETS,
    MAX_SERIES,
    OTHERS,
    REPEATABLE,
    Count,
    JobOutcome,
    Series,
    Step,
    oldest_period,
)
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import gather_all, group_by
from aioq_redis.storage.keys import is_queue_name

__all__ = ["StatisticsRole"]

UNITS: Final = 10_000
"""Stored units of a second: 0.1 ms."""

SERIES_TTL_MS: Final = milliseconds(float(Step.HOUR * Step.HOUR.kept))
"""Then all periods of a series are over that was not counted meanwhile."""

MAX_READ: Final = 100
"""Series that are read at the same time. The server sends up to 80 KB for each."""

SUMS: Final = 3
"""The numbers of a period in front of its histograms: the count, and the sums of wait and duration."""

SIZE: Final = len(BUCKETS) + 1


class StatisticsRole(BrokerRole):
    """Implements `aioq.protocols.Statistics`."""

    async def add_counts(self, counts: Sequence[Count], *, reporter: str, number: int) -> float:
        """Add what a process has counted; see `aioq.protocols.Statistics.add_counts`."""
        groups = group_by(counts, lambda count: count.series)
        outcomes = list(dict.fromkeys(series.outcome for series in groups))
        args: list[object] = [number, milliseconds(REPEATABLE), MAX_SERIES, SERIES_TTL_MS]
        # KEYS of the script: two others, those of the series, and one for each outcome.
        for place, (series, own) in enumerate(groups.items(), 3):
            name = "" if series.queue == OTHERS else name_of(series)
            args += (name, place, 3 + len(groups) + outcomes.index(series.outcome), len(own))
            for count in own:
                args += (count.start // Step.MINUTE, _numbers(count))
        keys = [name_of(series) for series in (*groups, *map(_others, outcomes))]
        own_name = check_name("worker id", reporter)
        now = await self._database.call("add_counts", self._layout.fleet, args, own=own_name, each=keys, patient=False)
        return int(now) / 1000

    async def read_counts(
        self, *, step: Step, start: float, end: float, queue: str | None = None, task: str | None = None
    ) -> list[Count]:
        """Return counts; see `aioq.protocols.Statistics.read_counts`."""
        names = await self._database.command("ZRANGE", self._layout.fleet.key("counted"), 0, -1, patient=False)
        known = [series for name in names if (series := _series(name))]
        chosen = sorted(
            series
            for series in [*known, *map(_others, JobOutcome)]
            if (queue is None or queue == series.queue) and (task is None or task == series.task)
        )
        if not chosen:
            return []
        # What is over is removed with the next count only.
        seconds, _ = await self._database.command("TIME", patient=False)
        span = Span(step, max(start, oldest_period(step, float(seconds))), min(end, float(seconds) + step))
        found: list[Count] = []
        for first in range(0, len(chosen), MAX_READ):
            part = chosen[first : first + MAX_READ]
            for counts in await gather_all([self._read(series, span) for series in part]):
                found += counts
        return found

    async def _read(self, series: Series, span: Span) -> list[Count]:
        """Return the counts of one series, by start."""
        fields = span.fields()
        if not fields:
            return []
        key = self._layout.fleet.key(f"counts:{name_of(series)}")
        values = await self._database.command("HMGET", key, *fields.values(), patient=False)
        periods = (
            period
            for first, value in zip(fields, values, strict=True)
            if value
            for period in _periods(value, first, span)
        )
        return [_count(series, start, numbers) for start, numbers in sorted(periods)]


@dataclass(frozen=True, slots=True)
class Span:
    """The periods that begin at or after one moment and before another."""

    step: Step
    start: float
    end: float

    def fields(self) -> dict[int, str]:
        """Return the names of the fields with these periods, by the start of their first period; see the script."""
        letter, periods = ("m", 60) if self.step is Step.MINUTE else ("h", 20)
        length = self.step * periods
        last = -int(-self.end // length)
        return {place * length: f"{letter}{place}" for place in range(int(self.start // length), last)}


def name_of(series: Series) -> str:
    """Return the name of a series in keys. A queue and an outcome have no colon."""
    return f"{series.queue}:{series.outcome}:{series.task}"


def _others(outcome: JobOutcome) -> Series:
    return Series(OTHERS, OTHERS, outcome)


def _series(name: bytes) -> Series | None:
    """Return the series of a name; None if the name is damaged."""
    queue, _, rest = name.partition(b":")
    outcome, _, task = rest.partition(b":")
    try:
        return Series(queue.decode(), task.decode(), JobOutcome(outcome.decode())) if is_queue_name(queue) else None
    except ValueError:
        return None


def _numbers(count: Count) -> str:
    """Return the numbers of a count as an argument of the script."""
    sums = (count.count, round(count.wait * UNITS), round(count.duration * UNITS))
    return " ".join(map(str, (*sums, *_padded(count.waits), *_padded(count.durations))))


def _padded(histogram: Sequence[int]) -> tuple[int, ...]:
    return (*histogram, *(0,) * (SIZE - len(histogram)))


def _periods(value: bytes, first: int, span: Span) -> Iterator[tuple[int, list[int]]]:
    """Yield start and numbers of the periods of a field that lie in the span; see the script."""
    at = 0
    while at + 1 < len(value):
        place, size = value[at], value[at + 1]
        start = first + place * span.step
        if span.start <= start < span.end:
            yield start, _unpacked(value[at + 2 : at + 2 + size])
        at += 2 + size


def _unpacked(data: bytes) -> list[int]:
    numbers: list[int] = []
    rest = shift = 0
    for byte in data:
        rest |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(rest)
            rest = shift = 0
    return numbers


def _count(series: Series, start: int, numbers: list[int]) -> Count:
    numbers += [0] * (SUMS + 2 * SIZE - len(numbers))
    waits, durations = tuple(numbers[SUMS : SUMS + SIZE]), tuple(numbers[SUMS + SIZE : SUMS + 2 * SIZE])
    return Count(
        queue=series.queue,
        task=series.task,
        outcome=series.outcome,
        start=start,
        count=numbers[0],
        wait=numbers[1] / UNITS,
        duration=numbers[2] / UNITS,
        waits=waits if any(waits) else (),
        durations=durations if any(durations) else (),
    )
