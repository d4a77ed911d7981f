"""The loop that fires ticks when they come due."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

from aioq.clock import Clock
from aioq.cron import CronEntry, Tick
from aioq.cron.schedule import Schedule
from aioq.cron.steps import around, step
from aioq.serialization.failure import one_line

__all__ = ["ClockWatch", "CronLoop"]

logger = logging.getLogger("aioq.cron")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDLE = 3_600.0
"""How far ahead to sleep, in seconds, when nothing is due any more: the clock may be set back all the same."""
_SHARE = 100
"""Fires and steps after which the event loop gets its turn: a few milliseconds' worth."""


@dataclass(slots=True, eq=False)
class _Line:
    """Entries of one schedule: they are due together and cost one step between them."""

    schedule: Schedule
    entries: list[CronEntry] = field(default_factory=list[CronEntry])


class CronLoop:
    """Fires the ticks of some entries, each at its moment on `clock`.

    The next tick is always counted from the latest one and never from the clock, so a clock
    that runs backwards fires nothing twice; it just takes a while until the next is due.
    """

    def __init__(self, entries: Iterable[CronEntry], fire: Callable[[Tick], None], clock: Clock) -> None:
        self._lines = dict.fromkeys(_lines(entries))
        self._fire, self._clock = fire, clock
        self._heap: list[tuple[float, int, datetime, _Line]] = []
        self._pushed = 0
        self._worked = 0

    async def run(self) -> None:
        """Fire ticks until cancelled."""
        watch = ClockWatch(self._clock)
        await self._start()
        while True:
            await self._fire_due()
            await self._clock.sleep_until(self._next_due())
            if watch.corrected():
                await self._start()

    def _next_due(self) -> float:
        return self._heap[0][0] if self._heap else self._clock.time() + _IDLE

    async def _start(self) -> None:
        """Count all entries from now, including those that had no tick left."""
        now = _moment(self._clock.time())
        self._heap.clear()
        for line in list(self._lines):
            await self._share()
            try:
                self._push(line, step(line.schedule, now))
            except Exception as error:
                self._disable(line, error)

    async def _fire_due(self) -> None:
        """Fire what is due now, each line once: what comes due meanwhile waits for the next look."""
        now = self._clock.time()
        while self._heap and self._heap[0][0] <= now:
            _, _, due, line = heappop(self._heap)
            newest = self._advance(line, due, now)
            first = due if newest != due else None
            for entry in line.entries:
                self._fire_one(Tick(entry, newest, first))
                await self._share(much=first is not None)

    def _advance(self, line: _Line, due: datetime, now: float) -> datetime:
        """Return the newest tick of a line up to now, with the one after it in the heap."""
        try:
            newest, following = around(line.schedule, due, _moment(now))
        except Exception as error:
            self._disable(line, error)
            return due
        self._push(line, following)
        return newest

    def _push(self, line: _Line, tick_at: datetime | None) -> None:
        if tick_at is not None:
            self._pushed += 1
            heappush(self._heap, (tick_at.timestamp(), self._pushed, tick_at, line))

    def _fire_one(self, tick: Tick) -> None:
        name = tick.entry.name
        try:
            self._fire(tick)
        except Exception:
            logger.exception("cron entry %s could not be fired", name, extra={"cron": name})

    def _disable(self, line: _Line, error: Exception) -> None:
        del self._lines[line]
        for entry in line.entries:
            logger.error(
                "cron entry %s is disabled: its schedule failed: %s",
                entry.name,
                one_line(str(error)),
                exc_info=error,
                extra={"cron": entry.name},
            )

    async def _share(self, *, much: bool = False) -> None:
        """Let other tasks run after every hundredth call, and after each entry that has to catch up.

        What to do about many ticks takes whoever is told of them thousands of steps.
        """
        self._worked += 1
        if much or self._worked % _SHARE == 0:
            await self._clock.sleep(0)


def _lines(entries: Iterable[CronEntry]) -> Iterable[_Line]:
    lines: dict[object, _Line] = {}
    for entry in entries:
        lines.setdefault(_key(entry.schedule), _Line(entry.schedule)).entries.append(entry)
    return lines.values()


def _key(schedule: Schedule) -> object:
    """What schedules that may share a line have in common."""
    try:
        hash(schedule)
    except TypeError:
        return id(schedule)
    return schedule


def _moment(seconds: float) -> datetime:
    """The wall time as a datetime, never rounded up: a tick is not due before it has come."""
    return _EPOCH + timedelta(microseconds=math.floor(seconds * 1e6))


# Vixie cron's bound: a clock set back further than that is a correction, and counts from then on.
_CORRECTION = 3 * 3_600.0
_WORTH_A_LINE = 5.0


class ClockWatch:
    """Compares the wall clock with the monotonic one, and with the latest time it has shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._monotonic = clock.time(), clock.monotonic()
        self._latest = self._wall

    def corrected(self) -> bool:
        """Look at the clocks; True when the wall clock went back by more than three hours.

        By less than that, in one step or in several, it is left to catch up with itself.
        """
        wall, monotonic = self._clock.time(), self._clock.monotonic()
        jump = (wall - self._wall) - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        corrected = self._latest - wall > _CORRECTION
        self._latest = wall if corrected else max(wall, self._latest)
        self._tell(jump, corrected=corrected)
        return corrected

    def _tell(self, jump: float, *, corrected: bool) -> None:
        if corrected:
            logger.warning("the wall clock went back by %.0f s: cron entries start afresh from the new time", -jump)
        elif jump < -_WORTH_A_LINE:
            logger.warning("the wall clock went back by %.0f s: no tick fires again until it has caught up", -jump)
        elif jump > _WORTH_A_LINE:
            logger.info("the wall clock went ahead by %.0f s, set or after a suspend: what is overdue is due now", jump)
