"""Reads expressions, and runs the loop that fires them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from aioq.clock import Clock
from aioq.cron import CronEntry, Tick
from aioq.cron.schedule import Schedule
from aioq_plain.schedules import EPOCH, Daily, Interval

__all__ = ["PlainScheduler"]

logger = logging.getLogger("aioq.plain")

UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


class PlainScheduler:
    """Understands `every 30s`, `every 5m`, `every 2h` and `at 09:30`."""

    def parse(self, expression: str, *, tz: str | tzinfo | None = None) -> Schedule:
        """Return what an expression means in a zone; see `aioq.protocols.Scheduler.parse`."""
        zone = _zone(tz or "UTC")
        if found := re.fullmatch(r"every ([1-9]\d{0,5})([smh])", expression):
            return Interval(int(found[1]) * UNITS[found[2]])
        if found := re.fullmatch(r"at ([01]\d|2[0-3]):([0-5]\d)", expression):
            return Daily(time(int(found[1]), int(found[2])), zone)
        raise ValueError(f"{expression!r} is neither like 'every 5m' (s, m or h) nor like 'at 09:30'")

    async def run(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], *, clock: Clock) -> None:
        """Fire entries at their ticks; see `aioq.protocols.Scheduler.run`."""
        lines = [Line(entry) for entry in entries]
        now = _moment(clock)
        for line in lines:
            line.step_from(now)
        while True:
            now = _moment(clock)
            for line in sorted(lines, key=lambda line: line.due):
                if line.due <= now:
                    _fire(fire, line.take(now))
            nearest = min([line.due for line in lines], default=NEVER)
            await clock.sleep_until(nearest.timestamp())


NEVER = datetime.max.replace(tzinfo=UTC)


class Line:
    """An entry, and when it is due next."""

    def __init__(self, entry: CronEntry) -> None:
        self.entry, self.due = entry, NEVER

    def step_from(self, instant: datetime) -> None:
        """Look up the next tick after `instant`; a schedule that cannot tell has had its last."""
        try:
            self.due = self.entry.schedule.next_after(instant) or NEVER
        except Exception:
            logger.exception("cron entry %s is disabled: its schedule failed", self.entry.name)
            self.due = NEVER

    def take(self, now: datetime) -> Tick:
        """Return the newest tick that has come, with the oldest if there are several, and go on from there.

        The next tick is counted from this one and not from the clock. So a timer that wakes
        too early, or a clock that is set back, fires nothing twice.
        """
        first = newest = self.due
        while self.due <= now:
            newest = self.due
            self.step_from(newest)
        return Tick(self.entry, newest, first if first < newest else None)


def _fire(fire: Callable[[Tick], None], tick: Tick) -> None:
    try:
        fire(tick)
    except Exception:
        logger.exception("cron entry %s could not be fired", tick.entry.name)


def _moment(clock: Clock) -> datetime:
    """Return the time, never rounded up: nothing may be fired early."""
    return EPOCH + timedelta(microseconds=int(clock.time() * 1_000_000))


def _zone(tz: str | tzinfo) -> tzinfo:
    try:
        return ZoneInfo(tz) if isinstance(tz, str) else tz
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"tz {tz!r} is not a known time zone") from error
