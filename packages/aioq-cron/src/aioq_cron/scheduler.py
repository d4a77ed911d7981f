"""The scheduler of this package, as core finds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from zoneinfo import ZoneInfo

from aioq.clock import Clock
from aioq.cron import CronEntry, Tick
from aioq_cron.expression import CronExpression
from aioq_cron.loop import CronLoop

__all__ = ["CronScheduler"]

_shared = lru_cache(maxsize=4_096)(CronExpression)


class CronScheduler:
    """Reads cron expressions and fires entries by them: an `aioq.protocols.Scheduler`."""

    def parse(self, expression: str, *, tz: str | ZoneInfo | None = None) -> CronExpression:
        """Return what `expression` means in `tz` (UTC when None), shared with equal ones.

        Raises:
            InvalidCronExpression: The expression or the zone is not understood, or no date
                ever matches. It is a ValueError.
            TypeError: An argument is of the wrong type.
        """
        # What cannot be hashed is of a wrong type, and the constructor has the words for that.
        with suppress(TypeError):
            return _shared(expression, tz)
        return CronExpression(expression, tz)

    async def run(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], *, clock: Clock) -> None:
        """Call `fire` for every tick of `entries`, until cancelled.

        The first tick of an entry is the first one after the start. A tick is fired when
        `clock` says that it has come, never before and never twice. Of several that have come
        due together, as after a suspend or when the clock was set ahead, an entry fires the
        newest once. While a clock that was set back by up to three hours catches up, nothing
        fires; after a larger step back entries count from the new time, with a warning.

        `fire` must return at once. What it raises is logged to `aioq.cron` and goes no further.
        A schedule that raises disables its entry, with one line in the log, and no other; one
        that has no more ticks is left alone.

        Entries of equal schedules share their computations, and the event loop gets its turn
        after every hundred fires.
        """
        await CronLoop(entries, fire, clock).run()
