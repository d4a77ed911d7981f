"""Shows one cron: what happened, and what will happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from aioq.cron import CronEntry, upcoming
from aioq.cron.outcomes import with_job_states, with_lost_run
from aioq.cron.overview import entry_overviews
from aioq.cron.schedule import ClockChange, ExplainedSchedule, LintedSchedule
from aioq.model.cron import CronKey, CronStatus, TickRecord
from aioq.protocols import TickLedger
from aioq_web.actions.crons import entry_of
from aioq_web.charts.ticks import strip
from aioq_web.pages.crons import CronRow, tick_title
from aioq_web.view import NotFound, Page, View

__all__ = ["cron"]

TICKS: Final = 100
NEXT: Final = 10
MOST_RUNS: Final = 800
"""Runs of a year for which there is a calendar; more often than twice a day needs none."""
WEEKDAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the calendar."""

    x: int
    y: int
    css: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month of the calendar."""

    name: str
    days: Sequence[Day]
    weeks: int


async def cron(view: View) -> Page:
    """Show one entry: its ticks, its coming year, and what may be done to it."""
    key = CronKey(view.steps["queue"], view.steps["name"])
    entry, ledger = entry_of(view, key), view.feature(TickLedger)
    status = await view.read(("cron", key), partial(ledger.cron_status, key)) if ledger else None
    if entry is None and status is None:
        raise NotFound(f"there is no cron {key.name} in queue {key.queue}")
    now = datetime.fromtimestamp(view.now, UTC)
    (overview,) = entry_overviews([entry] if entry else [], [status] if status else [], now)
    records = await _history(view, key, status)
    zone = overview.zone
    values: dict[str, object] = {
        "row": CronRow(overview=overview, words=_words(entry)),
        "entry": entry,
        "zone": zone,
        "records": records,
        "marks": strip(records, [tick_title(view, record) for record in records]),
        "outcomes": Counter(str(record.status) for record in records),
        "runs": upcoming(entry.schedule, now, NEXT) if entry and overview.can_fire else [],
        "changes": _changes(entry, now),
        "lints": _lints(entry, now),
        "months": _months(entry, now, zone) if entry else [],
    }
    return Page("cron.html", key.name, values)


async def _history(view: View, key: CronKey, status: CronStatus | None) -> list[TickRecord]:
    ledger = view.feature(TickLedger)
    if ledger is None:
        return []
    records = list(await view.read(("ticks of", key), partial(_records, view, ledger, key)))
    if records and status is not None:
        records[0] = with_lost_run(records[0], status)
    return records


async def _records(view: View, ledger: TickLedger, key: CronKey) -> list[TickRecord]:
    return await with_job_states(view.app.broker, await ledger.tick_history(key, limit=TICKS))


def _words(entry: CronEntry | None) -> str:
    return entry.schedule.in_words() if entry and isinstance(entry.schedule, ExplainedSchedule) else ""


def _lints(entry: CronEntry | None, now: datetime) -> list[str]:
    """Return what the author of the schedule hardly means."""
    return entry.schedule.lints(now) if entry and isinstance(entry.schedule, LintedSchedule) else []


def _changes(entry: CronEntry | None, now: datetime) -> list[ClockChange]:
    if entry is None or not isinstance(entry.schedule, ExplainedSchedule):
        return []
    return entry.schedule.clock_changes(now, now + timedelta(days=365))


def _months(entry: CronEntry, now: datetime, zone: tzinfo) -> list[Month]:
    """Return the coming twelve months, by the calendar of the entry; none if it fires more than twice a day."""
    first = now.astimezone(zone).date().replace(day=1)
    end = _next_month(first, 12)
    until = datetime(end.year, end.month, 1, tzinfo=zone) - timedelta(microseconds=1)
    runs = upcoming(entry.schedule, now, MOST_RUNS + 1, until=until.astimezone(UTC))
    if len(runs) > MOST_RUNS:
        return []
    by_day = Counter(run.astimezone(zone).date() for run in runs)
    times = {run.astimezone(zone).date(): run.astimezone(zone) for run in reversed(runs)}
    shifts = set(_clock_changes(zone, first, end))
    return [_month(_next_month(first, number), by_day, times, shifts) for number in range(12)]


def _month(first: date, by_day: Counter[date], times: dict[date, datetime], shifts: set[date]) -> Month:
    days: list[Day] = []
    day = first
    while day.month == first.month:
        place = day.day - 1 + first.weekday()
        days.append(
            Day(
                x=place % WEEKDAYS,
                y=place // WEEKDAYS,
                css=_css(day, by_day, shifts),
                title=_title(day, by_day, times, shifts),
            )
        )
        day += timedelta(days=1)
    return Month(name=f"{first:%b %Y}", days=days, weeks=days[-1].y + 1)


def _css(day: date, by_day: Counter[date], shifts: set[date]) -> str:
    return "solid" if day in shifts and by_day[day] else "day" if by_day[day] else "off"


def _title(day: date, by_day: Counter[date], times: dict[date, datetime], shifts: set[date]) -> str:
    fires = f"fires at {times[day]:%H:%M}" if by_day[day] else "does not fire"
    more = f", {by_day[day]} times" if by_day[day] > 1 else ""
    return f"{day:%a %d %b %Y}: {fires}{more}{', clock change' if day in shifts else ''}"


def _clock_changes(zone: tzinfo, first: date, end: date) -> Iterator[date]:
    """Yield the days on which the offset of a zone changes."""
    if not isinstance(zone, ZoneInfo):
        return
    day = first
    while day < end:
        start = datetime(day.year, day.month, day.day, tzinfo=zone)
        following = day + timedelta(days=1)
        if start.utcoffset() != datetime(following.year, following.month, following.day, tzinfo=zone).utcoffset():
            yield day
        day = following


def _next_month(first: date, count: int) -> date:
    months = first.year * 12 + first.month - 1 + count
    return date(months // 12, months % 12 + 1, 1)
