"""What is said of the entries when a worker starts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anyio.lowlevel import checkpoint

from aioq.app import Aarq
from aioq.cron import ClockChange, CronEntry, upcoming
from aioq.cron.schedule import ExplainedSchedule
from aioq.worker.log import logger

__all__ = ["greet", "tell_of_clocks", "tell_of_namesakes"]

SHOWN = 100
"""Entries whose next runs are logged one by one."""

NEXT = 3
"""Runs that are looked at."""

LONG = timedelta(days=366)
"""Who runs only after that may have been meant otherwise."""

LONGEST_REPEAT = timedelta(hours=3)
"""So long before its clock change may the first run of a repeated time be."""

TOLERATED = 1.0
"""Seconds by which the clocks of the host and of the broker may differ."""


async def greet(entries: Sequence[CronEntry], now: datetime) -> None:
    """Log the next runs of entries, and warn of what may surprise."""
    for number, entry in enumerate(entries):
        await checkpoint()
        runs = _next_runs(entry, now)
        if number < SHOWN:
            zone = _zone(entry.tz)
            shown = ", ".join(run.astimezone(zone).isoformat(sep=" ") for run in runs)
            logger.info("cron task %s runs next at %s", entry.name, shown or "no time at all")
        _warn(entry, runs, now)
    if len(entries) > SHOWN:
        logger.info("and %d more cron tasks", len(entries) - SHOWN)


def tell_of_clocks(host: float, broker: float, uncertain: float) -> None:
    """Warn when the clocks differ.

    Args:
        host: What the host's clock showed when the broker's answer came in.
        broker: What the broker's clock had shown.
        uncertain: Seconds that the answer took: the broker's clock may show so much more by now.
    """
    ahead = host - broker
    if ahead < -TOLERATED or ahead > TOLERATED + uncertain:
        logger.warning(
            "the clock of this host is %.1f s %s that of the broker: entries that fire once for the fleet, and jobs, "
            "go by the broker's, and other entries by the host's",
            abs(ahead),
            "ahead of" if ahead > 0 else "behind",
        )


def tell_of_namesakes(app: Aarq) -> None:
    """Warn when the module of an app, or the program, has another one of the same name on the same broker."""
    modules = (sys.modules.get(app.name), sys.modules.get("__main__"))
    others = [other for module in modules if module for other in vars(module).values() if isinstance(other, Aarq)]
    if any(other is not app and other.crons and _alike(other, app) for other in others):
        logger.warning(
            "two apps go by the name %s: each worker that starts retires the cron entries of the other app; "
            "tell them apart with Aarq(name=...)",
            app.name,
        )


def _warn(entry: CronEntry, runs: list[datetime], now: datetime) -> None:
    if not runs:
        return
    facts = {"cron_name": entry.name}
    if runs[0] - max(now, entry.options.start or now) > LONG:
        text = "cron task %s runs only in %d days, for the next time: is %r what was meant?"
        logger.warning(text, entry.name, (runs[0] - now).days, entry.expression, extra=facts)
    for change in _changes(entry, runs, now):
        text = "cron task %s meets a clock change in %s, at %s: %s"
        logger.warning(text, entry.name, entry.tz, change.start.isoformat(" "), change.effect, extra=facts)


def _changes(entry: CronEntry, runs: list[datetime], now: datetime) -> list[ClockChange]:
    """Return the clock changes that do something to the next runs."""
    if not isinstance(entry.schedule, ExplainedSchedule):
        return []
    try:
        changes = entry.schedule.clock_changes(now, runs[-1] + LONGEST_REPEAT)
    except Exception:
        return []
    return [change for change in changes if _meets(change, runs)]


def _meets(change: ClockChange, runs: list[datetime]) -> bool:
    if not change.touches:
        return False
    return not set(change.runs).isdisjoint(runs) if change.runs else change.at <= runs[-1]


def _next_runs(entry: CronEntry, now: datetime) -> list[datetime]:
    """Return the next runs; none when the schedule ends or raises."""
    try:
        return list(islice(upcoming(entry.schedule, now), NEXT))
    except Exception:
        return []


def _alike(one: Aarq, other: Aarq) -> bool:
    return one.name == other.name and repr(one.broker) == repr(other.broker)


def _zone(name: str) -> tzinfo:
    """Return a zone by name; UTC for one that only the scheduler knows."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC
