"""What is known of entries: by the code, by the ledger, and by both together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from aioq.cli.cron.lookup import NextRuns, next_runs_of
from aioq.cli.cron.tick_text import as_json, lateness_text, reason_text, with_lost_run
from aioq.cli.output import Column, table
from aioq.cli.times import format_near, format_times, iso_time, to_datetime, zone_of
from aioq.cron import CronEntry
from aioq.cron.definition import define
from aioq.cron.overdue import overdue
from aioq.model.cron import CronDefinition, CronStatus, TickRecord

__all__ = ["EntryOverview", "overview_as_json", "overview_table", "entry_overviews", "firing_mode", "overdue_since"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOverview:
    """All that is known of one entry at a moment."""

    definition: CronDefinition
    """As in the code; as registered for an entry that the code does not have."""
    in_code: bool = True
    next: NextRuns = field(default_factory=NextRuns)
    status: CronStatus | None = None
    """None when nobody has registered it, or the ledger was not asked."""
    overdue: datetime | None = None
    """The oldest tick of which something should be recorded, and nothing is."""


def entry_overviews(entries: Iterable[CronEntry], statuses: Sequence[CronStatus], now: datetime) -> list[EntryOverview]:
    """Return what is known of the entries of the code, in their order, and then of all others."""
    by_key = {status.definition.key: status for status in statuses}
    mine = [_of(entry, by_key.pop(entry.key, None), now) for entry in entries]
    others = [EntryOverview(definition=status.definition, status=status, in_code=False) for status in by_key.values()]
    return mine + others


def _of(entry: CronEntry, status: CronStatus | None, now: datetime) -> EntryOverview:
    return EntryOverview(
        definition=define(entry),
        next=next_runs_of(entry, now),
        status=status,
        overdue=overdue_since(entry, status, now) if status else None,
    )


def overdue_since(entry: CronEntry, status: CronStatus, now: datetime) -> datetime | None:
    """Return the oldest tick that an entry owes; a schedule that fails has no ticks."""
    try:
        return overdue(entry, status, now)
    except Exception:  # anybody may write a schedule
        return None


def overview_table(
    facts: Sequence[EntryOverview], now: datetime, reader: tzinfo | None, *, looked_up: bool, width: int | None
) -> str:
    """Return a table with up to four lines for each entry.

    Args:
        facts: What is known.
        now: The moment of which the facts are.
        reader: The zone of whoever reads it, None for the host's: a column shows runs by its clock
            where that differs from the entries' own.
        looked_up: Whether the ledger was asked, and so has something to say in a column of its own.
        width: Columns of the terminal; None for any number.
    """
    elsewhere = any(_differs(run, fact, reader) for fact in facts for run in fact.next.runs)
    columns = [Column("NAME", least=16, keep_end=True), Column("SCHEDULE", least=11), Column("NEXT RUNS", least=22)]
    columns += [Column(str(reader) if reader else "YOUR TIME", least=9)] * elsewhere
    columns += [Column("LATEST TICK", least=14)] * looked_up
    rows = [_row(fact, now, reader, elsewhere=elsewhere, looked_up=looked_up) for fact in facts]
    return table(columns, rows, width=width)


def _row(fact: EntryOverview, now: datetime, reader: tzinfo | None, *, elsewhere: bool, looked_up: bool) -> list[str]:
    definition = fact.definition
    cells = [
        [definition.name, f"  queue {definition.queue}", f"  {firing_mode(definition)}"],
        [definition.expression, definition.tz],
        _next(fact, now),
    ]
    cells += [[f"{run.astimezone(reader):%a %H:%M}" for run in fact.next.runs if _fires(fact)]] * elsewhere
    cells += [_latest(fact, now)] * looked_up
    return ["\n".join(cell) for cell in cells]


def firing_mode(definition: CronDefinition) -> str:
    """Return who fires an entry."""
    if definition.kind == "schedule":
        return "one job a tick"
    return "once per fleet" if definition.unique else "on each worker"


def _fires(fact: EntryOverview) -> bool:
    paused = fact.status is not None and fact.status.pause is not None
    return fact.in_code and fact.definition.enabled and not paused


def _next(fact: EntryOverview, now: datetime) -> list[str]:
    """Return the next runs of an entry in its zone, or why there are none."""
    zone, status = zone_of(fact.definition.tz), fact.status
    if not fact.in_code:
        retired = status.retired_at if status else None
        return ["not in this code", *([f"retired {format_near(to_datetime(retired, zone), now)}"] if retired else [])]
    if not fact.definition.enabled:
        return ["disabled"]
    if status and (pause := status.pause):
        return [
            f"paused {format_near(to_datetime(pause.at, zone), now)}",
            f"by {pause.by}",
            *([pause.note] if pause.note else []),
        ]
    return format_times([run.astimezone(zone) for run in fact.next.runs]) or [fact.next.fails or "never"]


def _latest(fact: EntryOverview, now: datetime) -> list[str]:
    zone = zone_of(fact.definition.tz)
    silent = [f"OVERDUE {format_near(fact.overdue.astimezone(zone), now)}"] if fact.overdue else []
    if fact.status is None:
        return ["not registered"]
    last = with_lost_run(fact.status.last, fact.status) if fact.status.last else None
    return silent + (_told(last, now, zone) if last else ["none yet"])


def _told(last: TickRecord, now: datetime, zone: tzinfo) -> list[str]:
    """Return what became of a tick: "ok 09:00", "0.02 s late"."""
    status = f"{last.status} {format_near(to_datetime(last.tick, zone), now)}"
    return [status, *(text for text in (lateness_text(last), reason_text(last)) if text)]


def _differs(run: datetime, fact: EntryOverview, reader: tzinfo | None) -> bool:
    return run.astimezone(reader).utcoffset() != run.astimezone(zone_of(fact.definition.tz)).utcoffset()


def overview_as_json(fact: EntryOverview) -> dict[str, object]:
    """Return what is known of an entry for programs; what only the ledger knows is null without it."""
    definition, zone = fact.definition, zone_of(fact.definition.tz)
    facts: dict[str, object] = {
        "name": definition.name,
        "queue": definition.queue,
        "kind": definition.kind,
        "expression": definition.expression,
        "tz": definition.tz,
        "unique": definition.unique,
        "enabled": definition.enabled,
        "options": definition.options,
        "in_code": fact.in_code,
        "next": [run.astimezone(zone).isoformat() for run in fact.next.runs],
        "overdue": fact.overdue.astimezone(zone).isoformat() if fact.overdue else None,
        "ledger": _ledger_as_json(fact.status, zone) if fact.status else None,
    }
    return {**facts, "error": fact.next.fails} if fact.next.fails else facts


def _ledger_as_json(status: CronStatus, zone: tzinfo) -> dict[str, object]:
    pause, running, counts = status.pause, status.running, status.counts
    return {
        "armed_at": iso_time(status.armed_at),
        "retired_at": iso_time(status.retired_at),
        "paused": {"note": pause.note, "by": pause.by, "at": iso_time(pause.at)} if pause else None,
        "last": as_json(status.last, zone) if status.last else None,
        "last_success": iso_time(status.last_success, zone),
        "running": {"tick": iso_time(running.tick, zone), "worker_id": running.worker_id} if running else None,
        "counts": {name: getattr(counts, name) for name in counts.__struct_fields__},
    }
