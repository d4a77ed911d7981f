"""A scheduler as a third party might write it: `every 5` fires every 5 s."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from aioq.clock import Clock
from aioq.cron import CronEntry, Tick

START = 1_767_225_600.0
"""Where a `VirtualClock` starts: 2026-01-01T00:00:00Z."""


@dataclass(frozen=True)
class EverySeconds:
    """Whole multiples of some seconds since 1970."""

    step: float

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the next multiple."""
        count = int(instant.timestamp() // self.step) + 1
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=count * self.step)


class PlainScheduler:
    """Counts the runs of its loop, and breaks it when told to."""

    def __init__(self) -> None:
        self.zones: list[str | tzinfo | None] = []
        self.runs = 0
        self.breaks = 0

    def parse(self, expression: str, *, tz: str | tzinfo | None = None) -> EverySeconds:
        """Understand `every N` and nothing else."""
        self.zones.append(tz)
        word, _, number = expression.partition(" ")
        if word != "every" or not number.isdigit():
            raise ValueError(f'{expression!r} is not of the form "every N"')
        return EverySeconds(int(number))

    async def run(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], *, clock: Clock) -> None:
        """Fire each tick at its moment, the newest of those that are due together."""
        self.runs += 1
        due = {entry.name: entry.schedule.next_after(datetime.fromtimestamp(clock.time(), UTC)) for entry in entries}
        while True:
            await clock.sleep_until(min((at.timestamp() for at in due.values() if at), default=clock.time() + 3_600))
            if self.breaks:
                self.breaks -= 1
                raise RuntimeError("the loop broke")
            now = datetime.fromtimestamp(clock.time(), UTC)
            for entry in entries:
                first = newest = due[entry.name]
                while (at := due[entry.name]) is not None and at <= now:
                    newest, due[entry.name] = at, entry.schedule.next_after(at)
                if first is not None and newest is not None and first <= now:
                    fire(Tick(entry, newest, first if first < newest else None))
