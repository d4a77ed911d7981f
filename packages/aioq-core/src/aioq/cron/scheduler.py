"""The protocol of schedulers: they parse expressions and run the loop that fires ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Protocol, runtime_checkable

from aioq.clock import Clock
from aioq.cron.entry import CronEntry, Tick
from aioq.cron.schedule import Schedule

__all__ = ["DialectScheduler", "Scheduler"]


@runtime_checkable
class Scheduler(Protocol):
    """Turns expressions into schedules and runs the loop that fires them.

    An entry point of the group `aioq.schedulers` is called without arguments and returns one.
    """

    def parse(self, expression: str, *, tz: str | tzinfo | None = None) -> Schedule:
        """Return the schedule that `expression` means in `tz` (UTC when None).

        Raises:
            ValueError: The expression or the zone is invalid, or the expression never fires.
        """
        ...

    async def run(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], *, clock: Clock) -> None:
        """Call `fire` for every tick of `entries`, until cancelled.

        The first tick of an entry is the first one after the start. A tick is never fired
        before its time on `clock`, and never twice. If several ticks of an entry have come due
        together (the clock stepped, the loop was blocked), `fire` is called once, with the newest
        tick and the oldest as its `first`, and decides about them. `fire` returns at once. A
        schedule that raises disables its entry and no other, with one log line.
        """
        ...


@runtime_checkable
class DialectScheduler(Scheduler, Protocol):
    """A scheduler that reads expressions with a field for the seconds, and those of other systems."""

    def parse_dialect(
        self,
        expression: str,
        *,
        tz: str | tzinfo | None = None,
        seconds: str | None = None,
        dialect: str | None = None,
    ) -> Schedule:
        """Return the schedule that `expression` means in `tz` (UTC when None).

        `seconds` is the place of the field of the seconds, `first` or `last`, and `dialect` the name of the system.

        Raises:
            ValueError: The expression, the zone or the dialect is invalid, or the expression never fires.
        """
        ...
