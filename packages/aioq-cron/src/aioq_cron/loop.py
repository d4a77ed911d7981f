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

__all__ = ["CronLoop"]

logger = logging.getLogger("aioq.cron")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDLE_SLEEP = 3_600.0
"""Seconds to sleep when no entry has a tick left. The loop still notices a clock that is set back."""
_YIELD_EVERY = 100
"""Fires and steps after which the loop yields to other tasks: they take a few milliseconds."""
_CORRECTION = 3 * 3_600.0
"""Seconds. A clock that is set back further was wrong, so ticks count from the new time. It is Vixie cron's bound."""
_LOGGED_JUMP = 5.0
"""Seconds. Smaller jumps of the wall clock are not logged."""


@dataclass(slots=True, eq=False)
class _Group:
    """Entries with equal schedules. They are due together, so one step of the schedule serves all of them."""

    schedule: Schedule
    entries: list[CronEntry] = field(default_factory=list[CronEntry])
    ended: bool = False
    """Whether the log has said that there are no further ticks."""


class CronLoop:
    """Fires the ticks of entries, each at its time on `clock`.

    The loop computes the next tick from the latest one, never from the clock. So a clock that runs
    backwards fires no tick twice: the next tick is due when the clock has caught up.
    """

    def __init__(self, entries: Iterable[CronEntry], fire: Callable[[Tick], None], clock: Clock) -> None:
        self._groups = dict.fromkeys(_groups(entries))
        self._fire = fire
        self._clock = clock
        self._heap: list[tuple[float, int, datetime, _Group]] = []
        self._pushed = 0
        self._worked = 0

    async def run(self) -> None:
        """Fire ticks until cancelled."""
        # Before `_start`, which may take seconds for thousands of entries: a correction in that time must be noticed.
        watch = _ClockWatch(self._clock)
        await self._start()
        while True:
            await self._fire_due()
            await self._clock.sleep_until(self._next_due())
            if watch.corrected():
                await self._start()

    def _next_due(self) -> float:
        return self._heap[0][0] if self._heap else self._clock.time() + _IDLE_SLEEP

    async def _start(self) -> None:
        """Compute the next tick of every entry from now, also of entries that had no tick left."""
        now = _floor_to_datetime(self._clock.time())
        self._heap.clear()
        # A copy: `_disable` removes groups.
        for group in list(self._groups):
            await self._yield()
            try:
                self._push(group, step(group.schedule, now))
            except Exception as error:
                self._disable(group, error)

    async def _fire_due(self) -> None:
        """Fire the groups that are due now, each once. A tick that comes due meanwhile waits for the next call."""
        now = self._clock.time()
        until = _floor_to_datetime(now)
        while self._heap and self._heap[0][0] <= now:
            _, _, due, group = heappop(self._heap)
            # The next tick is computed before this one fires, so that whatever `fire` does cannot end the entry.
            newest = self._advance(group, due, until)
            first = due if newest != due else None
            for entry in group.entries:
                self._fire_one(Tick(entry, newest, first))
                await self._yield(long_step=first is not None)

    def _advance(self, group: _Group, due: datetime, now: datetime) -> datetime:
        """Return the newest tick of a group up to now, and push the one after it on the heap."""
        try:
            newest, following = around(group.schedule, due, now)
        except Exception as error:
            self._disable(group, error)
            # This tick has come due whatever follows; only the next one is unknown.
            return due
        self._push(group, following)
        return newest

    def _push(self, group: _Group, tick_at: datetime | None) -> None:
        if tick_at is None:
            self._log_end(group)
        else:
            self._pushed += 1
            # The count keeps entries of one moment in order, and groups are never compared.
            heappush(self._heap, (tick_at.timestamp(), self._pushed, tick_at, group))

    def _log_end(self, group: _Group) -> None:
        # Once: a clock that is set back computes the entries again.
        if group.ended:
            return
        group.ended = True
        for entry in group.entries:
            logger.warning(
                "cron entry %s has ended: its schedule has no further ticks",
                entry.name,
                extra={"event": "cron_ended", "cron_name": entry.name},
            )

    def _fire_one(self, tick: Tick) -> None:
        name = tick.entry.name
        try:
            self._fire(tick)
        except Exception:
            logger.exception(
                "cron entry %s could not be fired", name, extra={"event": "tick_not_fired", "cron_name": name}
            )

    def _disable(self, group: _Group, error: Exception) -> None:
        # Without a tick there is nothing to compute the next one from. The other entries go on.
        del self._groups[group]
        for entry in group.entries:
            logger.error(
                "cron entry %s is disabled: its schedule failed: %s",
                entry.name,
                one_line(str(error)),
                exc_info=error,
                extra={"event": "cron_disabled", "cron_name": entry.name},
            )

    async def _yield(self, *, long_step: bool = False) -> None:
        """Let other tasks run after every hundredth call, and after each entry that has to catch up.

        `fire` may walk thousands of ticks to decide about those that were missed.
        """
        self._worked += 1
        if long_step or self._worked % _YIELD_EVERY == 0:
            await self._clock.sleep(0)


def _groups(entries: Iterable[CronEntry]) -> Iterable[_Group]:
    groups: dict[object, _Group] = {}
    for entry in entries:
        groups.setdefault(_key(entry.schedule), _Group(entry.schedule)).entries.append(entry)
    return groups.values()


def _key(schedule: Schedule) -> object:
    """Return a key that is equal for schedules that may share a group."""
    try:
        hash(schedule)
    except TypeError:
        # A schedule of the user may not be hashable: it gets a group of its own.
        return id(schedule)
    return schedule


def _floor_to_datetime(seconds: float) -> datetime:
    """Return a wall time as a datetime, rounded down so that no tick is due early."""
    return _EPOCH + timedelta(0, 0, math.floor(seconds * 1e6))


class _ClockWatch:
    """Detects jumps of the wall clock: compares it with the monotonic clock and with its own latest time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall = clock.time()
        self._monotonic = clock.monotonic()
        self._latest = self._wall

    def corrected(self) -> bool:
        """Compare the clocks; return True if the wall clock went back by more than three hours.

        After a smaller step back, or several, the loop waits until the clock has caught up.
        """
        wall, monotonic = self._clock.time(), self._clock.monotonic()
        # A clock that is not set advances like the monotonic one. What is left is the jump.
        jump = (wall - self._wall) - (monotonic - self._monotonic)
        self._wall = wall
        self._monotonic = monotonic
        # Compared with the latest time ever seen, so that several small steps back add up.
        corrected = self._latest - wall > _CORRECTION
        self._latest = wall if corrected else max(wall, self._latest)
        self._log_jump(jump, corrected=corrected)
        return corrected

    def _log_jump(self, jump: float, *, corrected: bool) -> None:
        if corrected:
            logger.warning(
                "the wall clock went back by %.0f s: cron entries count from the new time",
                -jump,
                extra={"event": "clock_went_back"},
            )
        elif jump < -_LOGGED_JUMP:
            logger.warning(
                "the wall clock went back by %.0f s: no tick fires again until it has caught up",
                -jump,
                extra={"event": "clock_went_back"},
            )
        elif jump > _LOGGED_JUMP:
            logger.info(
                "the wall clock went ahead by %.0f s (set, or after a suspend): overdue ticks are due now",
                jump,
                extra={"event": "clock_went_ahead"},
            )
