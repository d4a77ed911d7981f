"""The protocol of schedulers: parsing expressions, and the loop that fires ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from aioq.clock import Clock
from aioq.cron.entry import CronEntry, Tick
from aioq.cron.schedule import Schedule

__all__ = ["Scheduler"]


@runtime_checkable
class Scheduler(Protocol):
    """Turns expressions into schedules and runs the loop that fires them.

    An entry point of the group `aioq.schedulers` is called without arguments and returns one.
    """

    def parse(self, expression: str, *, tz: str | ZoneInfo | None = None) -> Schedule:
        """Return the schedule that `expression` means in `tz` (UTC when None).

        Raises:
            ValueError: The expression or the zone is not understood, or can never fire.
        """
        ...

    async def run(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], *, clock: Clock) -> None:
        """Call `fire` for every tick of `entries`, until cancelled.

        The first tick of an entry is the first one after the start. A tick is never fired
        before `clock` says that it has come, and never twice. Of several that have come due
        together (the clock stepped, the loop was blocked) an entry fires once, the newest with
        the oldest as its `first`: what is to become of them is for `fire` to decide. `fire`
        returns at once. A schedule that raises disables its entry, with one log line, and no
        other.
        """
        ...
