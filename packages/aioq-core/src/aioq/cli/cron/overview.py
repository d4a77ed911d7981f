"""Shows overviews of cron entries as a table or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from aioq.cli.colors import state_color
from aioq.cli.cron.tick_text import lateness_text, record_as_json
from aioq.cli.output import Column, Table
from aioq.cli.times import format_near, format_times, iso_time
from aioq.clock import stored_time
from aioq.cron import CronEntry
from aioq.cron.outcomes import reason_text, with_lost_run
from aioq.cron.overview import EntryOverview, entry_overviews, firing_mode
from aioq.model.cron import CronStatus, TickRecord

__all__ = ["View", "code_table", "overview_as_json", "overview_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a table of entries shows."""

    now: datetime
    zone: tzinfo | None
    """The reader's time zone, the host's if None. If it differs from the entries' zones, a column shows runs in it."""
    with_ledger: bool
    """Whether the ledger was asked, so that there is a column for the latest tick."""


def code_table(entries: Iterable[CronEntry], now: datetime) -> Table:
    """Return a table of entries with their next runs, without a ledger and with times in UTC."""
    view = View(now=now, zone=UTC, with_ledger=False)
    return overview_table(entry_overviews(entries, (), now), view)


def overview_table(overviews: Sequence[EntryOverview], view: View) -> Table:
    """Return a table with up to four lines for each entry."""
    # By offset, not by name: Europe/Paris shows nothing that Europe/Berlin does not.
    other_zone = any(_offsets_differ(overview, view.zone) for overview in overviews)
    columns = [
        Column("NAME", least=16, keep_end=True),
        Column("SCHEDULE", least=11),
        Column("NEXT RUNS", least=22, color=state_color),
    ]
    if other_zone:
        columns.append(Column(str(view.zone) if view.zone else "YOUR TIME", least=9))
    if view.with_ledger:
        columns.append(Column("LATEST TICK", least=14, color=state_color))
    return Table(columns, [_row(overview, view, other_zone=other_zone) for overview in overviews])


def _offsets_differ(overview: EntryOverview, zone: tzinfo | None) -> bool:
    return any(
        run.astimezone(zone).utcoffset() != run.astimezone(overview.zone).utcoffset() for run in overview.next.runs
    )


def _row(overview: EntryOverview, view: View, *, other_zone: bool) -> list[str]:
    definition = overview.definition
    cells = [
        [definition.name, f"  queue {definition.queue}", f"  {firing_mode(definition)}{', stored' * overview.stored}"],
        [definition.expression, definition.tz],
        _next_lines(overview, view.now),
    ]
    if other_zone:
        cells.append([f"{run.astimezone(view.zone):%a %H:%M}" for run in overview.next.runs if overview.can_fire])
    if view.with_ledger:
        cells.append(_latest_lines(overview, view.now))
    return ["\n".join(cell) for cell in cells]


def _next_lines(overview: EntryOverview, now: datetime) -> list[str]:
    """Return the next runs of an entry in its zone, or the reason why there are none."""
    zone, status = overview.zone, overview.status
    if not overview.in_code:
        retired = status.retired_at if status else None
        return [
            "not in this code",
            *([f"retired {format_near(stored_time(retired, zone), now)}"] if retired else []),
        ]
    if not overview.definition.enabled:
        return ["disabled"]
    if status and (pause := status.pause):
        since = f"paused {format_near(stored_time(pause.at, zone), now)}"
        return [since, f"by {pause.by}", *([pause.note] if pause.note else [])]
    return format_times([run.astimezone(zone) for run in overview.next.runs]) or [overview.next.error or "ended"]


def _latest_lines(overview: EntryOverview, now: datetime) -> list[str]:
    """Return the latest tick of an entry and whether it is overdue."""
    status, zone = overview.status, overview.zone
    if status is None:
        return ["not registered"]
    late = [f"OVERDUE {format_near(overview.overdue.astimezone(zone), now)}"] if overview.overdue else []
    return late + (_tick_lines(with_lost_run(status.last, status), now, zone) if status.last else ["none yet"])


def _tick_lines(last: TickRecord, now: datetime, zone: tzinfo) -> list[str]:
    """Return the outcome of a tick: "ok 09:00", "0.02 s late"."""
    outcome = f"{last.status} {format_near(stored_time(last.tick, zone), now)}"
    return [outcome, *(text for text in (lateness_text(last), reason_text(last)) if text)]


def overview_as_json(overview: EntryOverview) -> dict[str, object]:
    """Return an entry for `--json`; what only the ledger knows is null without it."""
    definition, zone = overview.definition, overview.zone
    values: dict[str, object] = {
        "name": definition.name,
        "queue": definition.queue,
        "kind": definition.kind,
        "expression": definition.expression,
        "tz": definition.tz,
        "unique": definition.unique,
        "enabled": definition.enabled,
        "options": definition.options,
        "in_code": overview.in_code,
        "stored": overview.stored,
        "next": [run.astimezone(zone).isoformat() for run in overview.next.runs],
        "overdue": overview.overdue.astimezone(zone).isoformat() if overview.overdue else None,
        "ledger": _status_as_json(overview.status, zone) if overview.status else None,
    }
    return {**values, "error": overview.next.error} if overview.next.error else values


def _status_as_json(status: CronStatus, zone: tzinfo) -> dict[str, object]:
    pause, running, counts = status.pause, status.running, status.counts
    return {
        "armed_at": iso_time(status.armed_at),
        "retired_at": iso_time(status.retired_at),
        "paused": {"note": pause.note, "by": pause.by, "at": iso_time(pause.at)} if pause else None,
        "last": record_as_json(status.last, zone) if status.last else None,
        "last_success": iso_time(status.last_success, zone),
        "running": {"tick": iso_time(running.tick, zone), "worker_id": running.worker_id} if running else None,
        "counts": {name: getattr(counts, name) for name in counts.__struct_fields__},
    }
