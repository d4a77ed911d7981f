"""The scheduler that this package registers with the core."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import tzinfo
from functools import lru_cache
from types import CoroutineType
from typing import Any, cast

from aioq.clock import Clock
from aioq.cron import CronEntry, Tick
from aioq_cron.expression.dialects import DialectName, Seconds
from aioq_cron.expression.expression import CronExpression
from aioq_cron.loop import CronLoop
from aioq_cron.schedules.every import Every, parse_every
from aioq_cron.zones import find_zone

__all__ = ["CronScheduler"]


_RATE = re.compile(r"rate\((?P<count>[1-9]\d{0,8}) (?P<unit>minute|hour|day)(?P<plural>s?)\)", re.ASCII | re.IGNORECASE)


@lru_cache(maxsize=4_096)
def _parsed(
    expression: str, tz: str | tzinfo | None, seconds: Seconds | None, dialect: DialectName | None
) -> CronExpression | Every:
    """Return a schedule. Thousands of entries often share few expressions: each is then parsed once."""
    # A value that is no str at all gets the error of the constructor.
    interval = _interval(str(expression).strip(), dialect)
    if interval is None:
        return CronExpression(expression, tz, seconds=seconds, dialect=dialect)
    # An interval has no zone, but a wrong one is a mistake all the same.
    find_zone(tz)
    return interval


def _interval(text: str, dialect: DialectName | None) -> Every | None:
    """Return the interval that a text names; None if it is an expression with fields."""
    if dialect is None and text.lower().startswith("@every"):
        return parse_every(text)
    rate = _RATE.fullmatch(text) if dialect == "aws" else None
    # AWS wants the plural from 2 on, and the singular for 1.
    if rate is None or (rate["count"] == "1") is bool(rate["plural"]):
        return None
    return parse_every(f"@every {rate['count']}{rate['unit'][0]}")


class CronScheduler:
    """Parses cron expressions and fires entries on time. Implements `aioq.cron.scheduler.DialectScheduler`."""

    def parse(self, expression: str, *, tz: str | tzinfo | None = None) -> CronExpression | Every:
        """Return what `expression` means in `tz` (UTC when None), shared with equal ones.

        Besides expressions it takes `@every 1h30m`, which is an `Every`.

        Raises:
            InvalidCronExpression: The expression or the zone is not understood, or no date
                ever matches. It is a ValueError.
            TypeError: An argument is of the wrong type.
        """
        return self.parse_dialect(expression, tz=tz)

    def parse_dialect(
        self,
        expression: str,
        *,
        tz: str | tzinfo | None = None,
        seconds: str | None = None,
        dialect: str | None = None,
    ) -> CronExpression | Every:
        """Return what `expression` means in `tz` with a field for the seconds, or in the dialect of another system.

        In the dialect `aws` it takes `rate(5 minutes)`, too, which is an `Every`: its ticks are counted from 1970, and
        not from when the rule was made.

        Raises:
            InvalidCronExpression: The expression or the zone is not understood, or no date
                ever matches. It is a ValueError.
            TypeError: An argument is of the wrong type.
            ValueError: `seconds` or `dialect` is unknown, or both are given.
        """
        # CronExpression checks both.
        place, system = cast("Seconds | None", seconds), cast("DialectName | None", dialect)
        # An unhashable argument has a wrong type; the constructor raises the error that says so.
        with suppress(TypeError):
            return _parsed(expression, tz, place, system)
        return CronExpression(expression, tz, seconds=place, dialect=system)

    def run(
        self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], *, clock: Clock
    ) -> CoroutineType[Any, Any, None]:
        """Call `fire` for every tick of `entries`, until cancelled.

        The first tick of an entry is the first one after the start. A tick fires when `clock`
        has reached it: never earlier, and never twice. If several ticks of an entry are due
        together, after a suspend or a clock that was set ahead, the entry fires once, with the
        newest. After the clock was set back by up to three hours nothing fires until it has
        caught up. After a larger step back entries count from the new time, with a warning.

        `fire` must return at once. An exception from it is logged to `aioq.cron` and stops
        nothing. A schedule that raises disables its own entries, with one log line each. An
        entry without further ticks fires no more, and is logged once at WARNING.

        Entries with equal schedules share one computation. The loop yields to other tasks after
        every hundred fires.
        """
        return CronLoop(entries, fire, clock).run()  # type: ignore[return-value]  # mypy's type is wider than the object
