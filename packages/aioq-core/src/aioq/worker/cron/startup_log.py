"""Logs the next runs of the entries when a worker starts, and warns of clocks and names that may cause surprises."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from anyio.lowlevel import checkpoint

from aioq.app import Aarq
from aioq.cron import ClockChange, CronEntry, upcoming
from aioq.cron.schedule import ExplainedSchedule
from aioq.serialization.failure import one_line
from aioq.worker.log import logger, shown

__all__ = ["log_next_runs", "warn_of_clock_difference", "warn_of_equal_app_names"]

MAX_LOGGED = 10
"""Entries in the table; the others are counted."""

MAX_EXPRESSION = 40
"""Characters of an expression in the table."""

RUNS_CHECKED = 3
"""Next runs of an entry that are checked; the first one is logged."""

SUSPICIOUS_DELAY = timedelta(days=366)
"""Warn if the next run is further away: the expression is probably a mistake."""

LONGEST_REPEAT = timedelta(hours=3)
"""How long before the clock change the first run of a repeated hour can be."""

MAX_CLOCK_DIFFERENCE = 1.0
"""Seconds by which the clocks of the host and of the broker may differ without a warning."""


async def log_next_runs(entries: Sequence[CronEntry], now: datetime) -> None:
    """Log a table of entries with their next runs, and warn of distant runs and of clock changes that affect them."""
    table: list[tuple[CronEntry, datetime | None]] = []
    for number, entry in enumerate(entries, 1):
        await checkpoint()  # a schedule may take milliseconds to find its next runs, and there may be thousands
        runs = _next_runs(entry, now)
        if number <= MAX_LOGGED:
            table.append((entry, runs[0] if runs else None))
        if number == min(MAX_LOGGED, len(entries)):
            _log_table(table, len(entries))
        _warn(entry, runs, now)


def warn_of_clock_difference(host: float, broker: float, uncertain: float) -> None:
    """Warn if the clocks differ.

    Args:
        host: The host's clock when the broker's answer arrived.
        broker: The broker's clock, as the answer says.
        uncertain: Seconds that the call took: the broker's clock may have advanced by up to as much.
    """
    ahead = host - broker
    # The answer left the broker at some moment of the call: only a difference beyond that is certain.
    if ahead < -MAX_CLOCK_DIFFERENCE or ahead > MAX_CLOCK_DIFFERENCE + uncertain:
        logger.warning(
            "the clock of this host is %.1f s %s that of the broker: entries that fire once for the fleet, and jobs, "
            "go by the broker's, and other entries by the host's",
            abs(ahead),
            "ahead of" if ahead > 0 else "behind",
            extra={"event": "clocks_differ"},
        )


def warn_of_equal_app_names(app: Aarq) -> None:
    """Warn if the module of an app, or the main program, has another app of the same name on the same broker."""
    # By default an app is named like its module, so that is where an app of the same name would be.
    modules = (sys.modules.get(app.name), sys.modules.get("__main__"))
    candidates = [other for module in modules if module for other in vars(module).values() if isinstance(other, Aarq)]
    if any(other is not app and other.crons and _same_name_and_broker(other, app) for other in candidates):
        logger.warning(
            "two apps have the name %s: each worker that starts retires the cron entries of the other app; "
            "give them different names with Aarq(name=...)",
            app.name,
            extra={"event": "app_name_shared"},
        )


def _log_table(table: Sequence[tuple[CronEntry, datetime | None]], total: int) -> None:
    """Log entries with their next runs, in one record: lines of other threads cannot come between its lines."""
    if not logger.isEnabledFor(logging.INFO):
        return
    cells = [
        (_moment(entry, run), shown(entry.name), one_line(entry.expression, MAX_EXPRESSION)) for entry, run in table
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    if total > len(table):
        lines.append(f"and {total - len(table)} more")
    crons = [
        {"name": entry.name, "expression": entry.expression, "next_run": run and run.isoformat()}
        for entry, run in table
    ]
    logger.info(
        "next runs of %d crons:%s", total, "".join(f"\n  {line}" for line in lines),
        extra={"event": "cron_next_runs", "crons": crons, "crons_left_out": total - len(table)},
    )  # fmt: skip


def _moment(entry: CronEntry, run: datetime | None) -> str:
    """Return the text of a run, in the zone of its entry."""
    return run.astimezone(entry.zone).isoformat(sep=" ", timespec="seconds") if run else "never"


def _warn(entry: CronEntry, runs: list[datetime], now: datetime) -> None:
    if not runs:
        return
    # Counted from its start: an entry that begins next year is no mistake.
    if runs[0] - max(now, entry.options.start or now) > SUSPICIOUS_DELAY:
        text = "cron task %s does not run for another %d days; check its expression %r"
        logger.warning(
            text,
            entry.name,
            (runs[0] - now).days,
            entry.expression,
            extra={"event": "cron_far_off", "cron_name": entry.name},
        )
    for change in _changes(entry, runs, now):
        text = "a clock change in %s at %s affects cron task %s: %s"
        logger.warning(
            text,
            entry.tz,
            change.start.isoformat(" "),
            entry.name,
            change.effect,
            extra={"event": "cron_clock_change", "cron_name": entry.name},
        )


def _changes(entry: CronEntry, runs: list[datetime], now: datetime) -> list[ClockChange]:
    """Return the clock changes that affect the next runs."""
    if not isinstance(entry.schedule, ExplainedSchedule):
        return []
    try:
        changes = entry.schedule.clock_changes(now, runs[-1] + LONGEST_REPEAT)
    except Exception:
        return []
    return [change for change in changes if _affects(change, runs)]


def _affects(change: ClockChange, runs: list[datetime]) -> bool:
    if not change.touches:
        return False
    return not set(change.runs).isdisjoint(runs) if change.runs else change.at <= runs[-1]


def _next_runs(entry: CronEntry, now: datetime) -> list[datetime]:
    """Return the next runs; none if the schedule ends or raises."""
    try:
        return upcoming(entry.schedule, now, RUNS_CHECKED)
    except Exception:
        return []


def _same_name_and_broker(one: Aarq, other: Aarq) -> bool:
    return one.name == other.name and repr(one.broker) == repr(other.broker)
